"""Cards name what they show, and data never become markup."""

from explored import Tags

from fusionlab.explorer.cards import Shown, alert, button, card, cards


def test_markup_in_titles_is_text(catalogue):
    for row in (0, 1):
        shown = Shown(1, 0.5, actions={"Like": "like"}, reason="<b>so</b>", moved="<i>")
        tags = Tags(card(catalogue, 0, row, shown))
        assert not {"script", "b", "i"} & {name for name, _ in tags.found}
        assert not any(key.startswith("on") for _, one in tags.found for key in one)
        assert catalogue.title(row) in tags.text
        assert tags.named("button")[0]["aria-label"] == f"Like: {catalogue.title(row)}"
    assert Tags(alert("<script>")).found == [("p", {"class": "fl-alert", "role": "alert"})]
    assert Tags(button("a", "b", 'c" onclick="d')).named("button")[0].keys() == {
        "type",
        "class",
        "data-act",
        "aria-label",
    }


def test_pictures_and_sounds_are_lazy_and_named(explorer):
    shop = explorer.catalogue(0)
    tags = Tags(cards([card(shop, 0, row, Shown()) for row in range(3)], "Shop"))
    assert len(tags.named("img")) == len(tags.named("audio")) == 3
    for image, sound, row in zip(tags.named("img"), tags.named("audio"), range(3), strict=True):
        assert image["loading"] == "lazy"
        assert image["alt"] == f"image of {shop.title(row)}"
        place = f"media/0/{shop.columns.index('image')}/{row}"
        assert image["src"] == f"{place}/small?of={shop.key}"
        assert sound["preload"] == "none"
        assert sound["aria-label"] == f"audio of {shop.title(row)}"
    assert tags.named("ol")[0]["aria-label"] == "Shop"


def test_bars_are_drawn_against_the_largest(explorer):
    shown = Shown(bars={"text": 2.0, "image": -1.0}, scale=2.0)
    tags = Tags(card(explorer.catalogue(0), 0, 0, shown))
    fills = [one["style"] for one in tags.named("span") if "fl-fill" in one["class"]]
    assert fills == ["left:50.0%;width:50.0%", "left:25.0%;width:25.0%"]
    assert "+2.000" in tags.text
    assert "-1.000" in tags.text
