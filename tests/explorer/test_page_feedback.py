"""What is clicked on the page stands in the log of the feedback commands."""

import re

import pytest
from click.testing import CliRunner
from explored import explorer_of, finished

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.explorer import feedback
from fusionlab.explorer.feedback import Listing, Listings, act, act_on, log_html, undo
from fusionlab.explorer.recommend import Question, list_html
from fusionlab.serving.feedback import FeedbackLog


@pytest.fixture
def said(shop):
    """Act as a user of the first strategy; everything is forgotten afterwards."""
    explorer = explorer_of(shop)
    yield lambda *what, **more: act(explorer, 0, "concat", "u7", *what, **more), explorer
    with explorer.service(0, "concat") as service:
        service.log.close()
        with FeedbackLog(service.log.file) as log:
            log.forget("u7")


def listed(explorer):
    html = list_html(explorer, 0, "concat", Question("u7", k=40))
    return re.findall(r'class="fl-card" data-item="(\w+)"', html)


def test_likes_and_dislikes_move_the_list_and_undo_brings_it_back(said):
    do, explorer = said
    before = listed(explorer)
    do("like", before[2])
    liked = listed(explorer)
    assert set(liked) == set(before) - {before[2]}
    assert liked != [item for item in before if item != before[2]]  # it entered the profile
    do("dislike", liked[0])
    assert liked[0] not in listed(explorer)
    assert undo(explorer, 0, "concat", "u7").kind == "dislike"
    assert listed(explorer) == liked
    assert undo(explorer, 0, "concat", "u7").kind == "like"
    assert listed(explorer) == before
    with pytest.raises(FusionlabError, match="found nothing of 'u7' that is left to take back"):
        undo(explorer, 0, "concat", "u7")


def test_the_log_is_that_of_the_commands(said, shop):
    do, explorer = said
    do("like", "i1", shown=["i1", "i2"], name="l1")
    do("click", "i2", shown=["i1", "i2"], name="l1")
    undo(explorer, 0, "concat", "u7")
    run, (_, store) = explorer.boards[0].row("concat").records[0].id, finished(shop)
    command = ["feedback", run[:12], "list", "--user", "u7", "--runs", str(store.root)]
    printed = CliRunner().invoke(main, command)
    assert printed.exit_code == 0
    kinds = re.findall(r"\b(impression|like|click|undo)\b", printed.output)
    assert kinds == ["impression", "impression", "like", "click", "undo"]
    html = log_html(explorer, 0, "concat", "u7")
    assert html.count("<li>") == 1
    assert "like" in html


def test_what_is_said_twice_of_one_list_counts_once(said):
    do, explorer = said
    for _ in range(2):
        do("like", "i1", shown=["i1", "i2"], name="l1")
    do("like", "i1", shown=["i1"], name="l2")
    undo(explorer, 0, "concat", "u7")
    undo(explorer, 0, "concat", "u7")
    do("like", "i1", shown=["i1", "i2"], name="l1")  # it was taken back, so it is news
    with explorer.service(0, "concat") as service:
        events = service.log.events("u7")
    assert [event.kind for event in events if event.kind != "impression"] == [
        *("like", "like", "undo", "undo", "like")
    ]
    assert sum(event.kind == "impression" for event in events) == 3


@pytest.mark.parametrize(
    ("kind", "item", "message"),
    [
        ("undo", "i1", "action: found 'undo'"),
        ("impression", "i1", "action: found 'impression'"),
        ("like", "i400", "item: found 'i400'"),
        ("like", "", "item: found ''"),
    ],
)
def test_a_browser_may_say_nothing_else(kind, item, message, said):
    do, explorer = said
    with pytest.raises(FusionlabError, match=message):
        do(kind, item, shown=["i1"], name="l1")
    with explorer.service(0, "concat") as service:
        assert service.log.events("u7") == []


def test_what_is_said_counts_for_the_list_that_was_shown(said):
    _, explorer = said
    listings, of = Listings(), Listing(0, "concat", "u7", ("i1", "i2"))
    name = listings.add(of)
    assert act_on(explorer, listings, name, "like", "i2") == of
    for wrong, item, message in ((name, "i3", "item: found 'i3'"), ("l9", "i2", "not known")):
        with pytest.raises(FusionlabError, match=message):
            act_on(explorer, listings, wrong, "like", item)
    with explorer.service(0, "concat") as service:
        events = service.log.events("u7")
    assert [(event.kind, event.item, event.list) for event in events] == [
        ("impression", "i1", name),
        ("impression", "i2", name),
        ("like", "i2", name),
    ]


def test_the_last_lists_are_remembered(monkeypatch):
    monkeypatch.setattr(feedback, "LISTS", 2)
    listings = Listings()
    names = [listings.add(Listing(0, "concat", f"u{n}", ())) for n in range(3)]
    assert [listings.named(name).user for name in names[1:]] == ["u1", "u2"]
    with pytest.raises(FusionlabError, match="not known any more"):
        listings.named(names[0])
