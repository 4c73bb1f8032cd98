"""The page in a browser: every tab, on a rendered catalogue."""

from pathlib import Path

import pytest
from browsing import (
    items_of,
    needs_browser,
    opened,
    served,
    turn_to,
    wait_for_change,
)
from explored import STUDY, finished

pytestmark = [needs_browser, pytest.mark.slow]
WHO = "#who-recommend input, #who-recommend textarea"
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@pytest.fixture(scope="module")
def address(shop):
    file, store = finished(shop)
    with served(file, runs=store.root) as address:
        yield address


def test_compare_sorts_filters_and_opens(chromium, address):
    with opened(chromium, address) as page:
        rows = "#table tbody tr"
        labels = "rows => rows.map(row => row.cells[1].innerText)"
        assert page.eval_on_selector_all(rows, labels) == ["popularity", "concat", "mean_scores"]
        place = page.locator("#table th button", has_text="ndcg@5").first
        values = "rows => rows.map(row => Number([...row.cells][%d].dataset.value))"
        column = int(place.get_attribute("data-sort"))
        for order in (True, False):
            place.click()
            found = page.eval_on_selector_all(rows, values % column)
            assert found == sorted(found, reverse=order)
        assert page.locator("th[aria-sort=ascending]").count() == 1
        page.get_by_label("Controls").uncheck()
        page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 2")
        page.get_by_role("button", name="concat", exact=True).click()
        page.wait_for_selector("#behind pre")
        assert "modality_dropout: 0.3" in page.inner_text("#behind pre")
        page.wait_for_selector("#figures img")
        drawn = page.eval_on_selector_all("#figures img", "all => all.map(one => one.naturalWidth)")
        assert len(drawn) == 3
        assert min(drawn) > 500
        assert STUDY["title"] in page.inner_text("body")
        page.get_by_label("Controls").check()
        page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 3")
        inside = "one => one.scrollWidth <= one.clientWidth"
        assert page.eval_on_selector("#table .fl-scroll", inside)  # all of it, at this width


def test_recommend_shows_two_lists_with_pictures_and_sound(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        for place in ("list-left", "list-right", "history"):
            page.wait_for_selector(f"#{place} .fl-card")
        left, right = items_of(page, "list-left"), items_of(page, "list-right")
        assert len(left) == len(right) == 10
        assert items_of(page, "history")
        page.wait_for_function(
            "document.querySelector('#list-left img').naturalWidth > 0", timeout=10_000
        )
        assert page.locator("#list-left .fl-card").first.locator(".fl-fill").count() == 3
        played = page.eval_on_selector(
            "#list-left audio",
            "async one => { one.muted = true; await one.play(); one.pause(); return one.duration }",
        )
        assert played > 0.1
        page.get_by_label("image", exact=True).uncheck()
        without = wait_for_change(page, "list-left", left)
        assert page.locator("#list-left .fl-moved").count() == 10
        assert page.locator("#list-left .fl-card").first.locator(".fl-fill").count() == 2
        page.get_by_label("image", exact=True).check()
        assert wait_for_change(page, "list-left", without) == left
        page.locator(WHO).fill("u5")
        page.keyboard.press("Enter")
        assert wait_for_change(page, "list-left", left) != left
        page.wait_for_function(
            "document.querySelector('#history').innerText.includes('History of u5')"
        )
        page.locator(WHO).fill("u999")
        page.keyboard.press("Enter")
        page.wait_for_selector("#list-left [role=alert]")


def test_a_profile_is_put_together_from_the_catalogue(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        page.wait_for_selector("#list-left .fl-card")
        left = items_of(page, "list-left")
        page.get_by_role("button", name="Build a profile").click()
        page.get_by_label("Search the catalogue").fill("i3")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "[...document.querySelectorAll('#catalogue .fl-card')]"
            ".every(one => one.dataset.item.includes('i3'))"
        )
        page.locator("#catalogue [data-act=add]").first.click()
        page.wait_for_function("document.querySelector('#history').innerText.includes('profile')")
        profile = items_of(page, "history")
        assert profile == ["i3"]
        page.wait_for_selector("#catalogue [data-act=add] >> text=Added")
        assert "; 1 item in your profile" in page.inner_text("#catalogue [role=status]")
        assert "i3" not in wait_for_change(page, "list-left", left)
        page.locator("#history [data-act=remove]").first.click()
        page.wait_for_selector("#list-left [role=alert]")


def test_fast_picks_all_enter_the_profile(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        page.get_by_role("button", name="Build a profile").click()
        page.wait_for_selector("#catalogue .fl-card")
        page.eval_on_selector_all(
            "#catalogue [data-act=add]", "all => all.slice(0, 4).forEach(one => one.click())"
        )
        page.wait_for_function("document.querySelectorAll('#history .fl-card').length === 4")


def test_with_everything_switched_off_there_is_no_list(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        page.wait_for_selector("#list-left .fl-card")
        for name in ("text", "image", "audio"):
            page.get_by_label(name, exact=True).uncheck()
        for place in ("list-left", "list-right"):
            page.wait_for_selector(f"#{place} [role=alert]")
            assert items_of(page, place) == []
            assert "switch something on" in page.inner_text(f"#{place}")


@pytest.mark.parametrize("user", ["'\\ud800'", "null"])
def test_a_user_that_is_no_text_gets_a_clear_word(user, chromium, address):
    with opened(chromium, address) as page:
        page.route("**/queue/join*", lambda route: _with_user(route, user))
        turn_to(page, "Recommend")
        page.locator(WHO).fill("NOBODY")
        page.keyboard.press("Enter")
        page.wait_for_selector("#list-left [role=alert]")
        assert "expected one of 60 ids" in page.inner_text("#list-left")
        assert page.locator(".toast-body").count() == 0


def _with_user(route, user):
    told = {"null": "null", "'\\ud800'": '"\\ud800"'}[user]
    route.continue_(post_data=route.request.post_data.replace('"NOBODY"', told))


def test_your_item_finds_what_is_like_it(chromium, address, explorer, tmp_path):
    shop, row = explorer.catalogue(0), 9
    (tmp_path / "a.png").write_bytes(shop.raw("image", row))
    (tmp_path / "a.wav").write_bytes(shop.raw("audio", row))
    (tmp_path / "b.png").write_bytes(b"not a picture at all")
    with opened(chromium, address) as page:
        turn_to(page, "Your item")
        page.get_by_label("Text", exact=True).fill(shop.media["text"].entries[row])
        page.locator("input[type=file]").nth(0).set_input_files(tmp_path / "a.png")
        page.locator("input[type=file]").nth(0).set_input_files(tmp_path / "a.wav")
        page.get_by_text("a.wav").first.wait_for()
        page.get_by_role("button", name="Look it up").click()
        page.wait_for_selector("#alike .fl-card")
        assert items_of(page, "alike")[0] == f"i{row}"
        assert page.locator("#fans tbody tr").count() == 12
    with opened(chromium, address) as page:
        turn_to(page, "Your item")
        page.locator("input[type=file]").nth(0).set_input_files(tmp_path / "b.png")
        page.get_by_text("b.png").first.wait_for()
        page.get_by_role("button", name="Look it up").click()
        page.wait_for_selector("#alike [role=alert]")
        told = "image: b.png: no image, or its header is damaged"
        assert page.inner_text("#alike [role=alert]") == told


def test_the_keyboard_is_enough(chromium, address):
    with opened(chromium, address) as page:
        page.locator("#table th button").nth(2).focus()
        page.keyboard.press("Enter")
        assert page.locator("th[aria-sort=descending]").count() == 1
        page.get_by_role("tab", name="Feedback").press("Enter")
        page.wait_for_selector("#feedback-list .fl-card")
        first = items_of(page, "feedback-list")
        page.locator("#feedback-list [data-act=dislike]").nth(1).focus()
        page.keyboard.press("Enter")
        now = wait_for_change(page, "feedback-list", first)
        page.wait_for_function("document.activeElement.dataset.act === 'dislike'")
        held = page.evaluate("document.activeElement.dataset.item")
        assert held == now[1]
        page.get_by_role("button", name="Undo").press("Enter")
        assert wait_for_change(page, "feedback-list", now) == first


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_named_and_can_be_read(scheme, chromium, address):
    with opened(chromium, address, color_scheme=scheme) as page:
        for tab, place in (
            ("Compare", "#figures img"),
            ("Recommend", "#list-right .fl-card"),
            ("Feedback", "#feedback-list .fl-card"),
            ("Your item", "#alike p"),
        ):
            turn_to(page, tab)
            page.wait_for_selector(place)
            page.wait_for_timeout(400)  # colours that fade in
            assert page.evaluate(CONTRAST) == []
            unnamed = page.eval_on_selector_all(
                "img, audio, button, input, textarea",
                """all => all.filter(one => one.checkVisibility() && !(one.alt || one.title
                    || one.ariaLabel || one.innerText || one.labels?.length || one.value))
                    .map(one => one.outerHTML.slice(0, 200))""",
            )
            assert unnamed == []


def test_a_narrow_screen_shows_it_all(chromium, address):
    with opened(chromium, address, viewport={"width": 390, "height": 844}) as page:
        for tab, place in (
            ("Compare", "#figures img"),
            ("Recommend", "#list-right .fl-card"),
            ("Feedback", "#feedback-list .fl-card"),
            ("Your item", "#alike p"),
        ):
            turn_to(page, tab)
            page.wait_for_selector(place)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
