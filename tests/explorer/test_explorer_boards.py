"""The page over two boards that share no level, strategy or number of modalities."""

import pytest
from browsing import items_of, needs_browser, opened, served, turn_to
from explored import STUDY, finished, other

from fusionlab.explorer.boards import open_board
from fusionlab.explorer.state import Explorer

pytestmark = [needs_browser, pytest.mark.slow]
TABS = ("Compare", "Recommend", "Feedback", "Your item")
FIRST, SECOND = STUDY["title"], "Words alone"
LABELS = {FIRST: "concat", SECOND: "gated"}
SHOWN = {
    "Compare": "[...document.querySelectorAll('#table th[scope=row]')].pop().innerText === last",
    "Recommend": "document.querySelector('#list-left .fl-heading')?.innerText.startsWith(label)"
    " && (right ? !!document.querySelector('#list-right .fl-card')"
    " : !document.querySelector('#list-right').innerText.trim())"
    " && document.querySelector('#list-left img').src.includes(`media/${board}/`)"
    " && document.querySelector('#catalogue img')?.src.includes(`media/${board}/`) !== false",
    "Feedback": "document.querySelector('#feedback-list .fl-heading')?.innerText.startsWith(label)"
    " && document.querySelector('#feedback-list img').src.includes(`media/${board}/`)",
    "Your item": "document.querySelector('#alike').innerText.includes('bring a text')",
}


@pytest.fixture(scope="module")
def both(shop):
    (file, store), (second, _) = finished(shop), other(shop)
    return Explorer([open_board(str(one), store) for one in (file, second)], store)


@pytest.fixture(scope="module")
def address(shop):
    (file, store), (second, _) = finished(shop), other(shop)
    with served(file, second, runs=store.root) as address:
        yield address


def choose(page, title):
    page.get_by_label("Study and dataset").click()
    page.get_by_role("option", name=title).click()


def shown(page, tab, title, timeout=60_000):
    """Wait until a tab shows the board of this title, and nothing is told to have failed."""
    board = [FIRST, SECOND].index(title)
    told = {"label": LABELS[title], "board": board, "right": board == 0}
    told["last"] = ["mean_scores", "achievable, all atoms"][board]
    page.wait_for_function(
        f"({{label, board, right, last}}) => {SHOWN[tab]}", arg=told, timeout=timeout
    )
    assert page.locator(".toast-body").count() == 0
    assert page.locator("[role=alert]").count() == 0


@pytest.mark.parametrize("tab", TABS)
def test_boards_that_are_switched_fast_end_in_the_last(tab, chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        page.get_by_role("button", name="Build a profile").click()
        page.wait_for_selector("#catalogue .fl-card")
        turn_to(page, tab)
        for pause in (0, 40, 150, 400):
            for title in (SECOND, FIRST, SECOND):
                choose(page, title)
                page.wait_for_timeout(pause)
            shown(page, tab, SECOND)
            choose(page, FIRST)
            page.wait_for_timeout(pause)
        for other_tab in TABS:
            turn_to(page, other_tab)
            shown(page, other_tab, FIRST)


def test_what_is_chosen_while_a_board_comes_fails_nowhere(chromium, address):
    """Answers are late, and all widgets are used meanwhile."""
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        page.wait_for_selector("#list-right .fl-card")
        page.route(
            "**/gradio_api/**", lambda route: (page.wait_for_timeout(120), route.continue_())
        )
        for title in (SECOND, FIRST):
            choose(page, title)
            for name in ("image", "text"):
                box = page.get_by_label(name, exact=True)
                if box.count():
                    box.evaluate("one => one.click()")
            page.get_by_role("button", name="Another user").first.click()
            turn_to(page, "Feedback")
            page.get_by_role("button", name="Undo").click()
            turn_to(page, "Your item")
            page.get_by_role("button", name="Look it up").click()
            turn_to(page, "Compare")
            for box in page.locator("input[type=checkbox]:visible").all():
                box.evaluate("one => one.click()")
            turn_to(page, "Recommend")
        page.unroute_all(behavior="wait")
        shown_list = "document.querySelector('#list-left .fl-heading')?.innerText"
        page.wait_for_function(f"{shown_list}.startsWith('concat')")
        assert page.locator(".toast-body").count() == 0


def test_only_what_a_strategy_reads_is_offered(chromium, address, both):
    from fusionlab.explorer.widgets import modalities_read

    assert modalities_read(both, 0) == ["text", "image", "audio"]
    assert modalities_read(both, 1) == ["text"]  # the ceiling reads more, and recommends nothing
    with opened(chromium, address) as page:
        choose(page, SECOND)
        turn_to(page, "Recommend")
        shown(page, "Recommend", SECOND)
        assert page.get_by_label("text", exact=True).count() == 1
        assert page.get_by_label("image", exact=True).count() == 0


def test_what_untrained_models_count_is_told_on_both_tabs(chromium, address):
    with opened(chromium, address) as page:
        choose(page, SECOND)
        for tab, place in (("Recommend", "#list-left"), ("Feedback", "#feedback-list")):
            turn_to(page, tab)
            shown(page, tab, SECOND)
            assert "Tell untrained" in page.inner_text(place)
            assert page.locator(f"{place} .fl-fill").count() == 0
            page.locator("label:visible", has_text="Tell untrained").click()
            page.wait_for_selector(f"{place} .fl-fill")
            assert len(items_of(page, place[1:])) == 10
