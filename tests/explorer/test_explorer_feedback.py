"""Feedback on the page in a browser: what is said counts once, for whose list it is said on."""

import pytest
from browsing import (
    items_of,
    needs_browser,
    opened,
    served,
    turn_to,
    wait_for_change,
)
from explored import finished

pytestmark = [needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(shop):
    file, store = finished(shop)
    with served(file, runs=store.root) as address:
        yield address


def test_feedback_moves_the_list_and_undo_brings_it_back(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Feedback")
        page.wait_for_selector("#feedback-list .fl-card")
        first = items_of(page, "feedback-list")
        page.locator("#feedback-list [data-act=like]").nth(2).click()
        liked = wait_for_change(page, "feedback-list", first)
        assert first[2] not in liked
        page.locator("#feedback-list [data-act=dislike]").first.click()
        disliked = wait_for_change(page, "feedback-list", liked)
        assert liked[0] not in disliked
        assert page.locator("#feedback-log li").count() == 2
        page.get_by_role("button", name="Undo").click()
        assert wait_for_change(page, "feedback-list", disliked) == liked
        page.get_by_role("button", name="Undo").click()
        assert wait_for_change(page, "feedback-list", liked) == first


def test_fast_likes_are_all_heard_and_each_counts_once(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Feedback")
        page.locator("#who-feedback input, #who-feedback textarea").fill("u9")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "/by u9[^]*nothing yet/.test(document.querySelector('#feedback-log').innerText)"
        )
        first = items_of(page, "feedback-list")
        page.eval_on_selector_all(
            "#feedback-list [data-act=like]",
            "all => { for (const one of [0, 1, 2, 2, 3, 4]) all[one].click(); }",
        )
        page.wait_for_function("document.querySelectorAll('#feedback-log li').length === 5")
        page.wait_for_timeout(500)
        assert page.locator("#feedback-log li").count() == 5
        assert not {*first[:5]} & {*items_of(page, "feedback-list")}
        back = page.get_by_role("button", name="Undo")
        back.evaluate("one => { for (let n = 0; n < 5; n++) one.click(); }")
        page.wait_for_function(
            "document.querySelector('#feedback-log').innerText.includes('nothing yet')"
        )
        assert items_of(page, "feedback-list") == first


def test_a_name_that_is_typed_counts_once_it_is_entered(chromium, address):
    """What is said counts for the user whose list is on the page, and Undo for the same."""
    with opened(chromium, address) as page:
        turn_to(page, "Feedback")
        who = page.locator("#who-feedback input, #who-feedback textarea")
        who.fill("u11")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "document.querySelector('#feedback-log').innerText.includes('by u11')"
        )
        first = items_of(page, "feedback-list")
        who.fill("u12")
        page.locator("#feedback-list [data-act=like]").first.click()
        liked = wait_for_change(page, "feedback-list", first)
        assert "by u11" in page.inner_text("#feedback-log")
        assert page.locator("#feedback-log li").count() == 1
        assert ", by u11" in page.inner_text("#feedback-said [role=status]")
        page.get_by_role("button", name="Undo").click()
        assert wait_for_change(page, "feedback-list", liked) == first
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("that is left to take back").wait_for()
        who.press("Enter")
        page.wait_for_function(
            "document.querySelector('#feedback-log').innerText.includes('by u12')"
        )
        assert "nothing yet" in page.inner_text("#feedback-log")
        assert page.locator("#feedback-said [role=alert]").count() == 0


def test_lists_are_made_once_when_the_page_opens(chromium, address):
    with opened(chromium, address) as page:
        asked = []
        page.on("request", lambda one: "run/predict" in one.url and asked.append(one.post_data))
        page.reload()
        turn_to(page, "Recommend")
        page.wait_for_selector("#list-left .fl-card")
        page.wait_for_timeout(1500)
        assert len(asked) == 1, asked


def test_lists_are_made_anew_after_feedback(chromium, address):
    with opened(chromium, address) as page:
        turn_to(page, "Recommend")
        page.wait_for_selector("#list-left .fl-card")
        left = items_of(page, "list-left")
        name = "document.querySelector('#list-left ol').dataset.list"
        before = page.evaluate(name)
        turn_to(page, "Feedback")
        page.wait_for_selector("#feedback-list .fl-card")
        turn_to(page, "Recommend")
        page.wait_for_timeout(1000)
        assert page.evaluate(name) == before  # nothing was said
        turn_to(page, "Feedback")
        page.locator("#feedback-list [data-act=dislike]").first.click()
        now = wait_for_change(page, "feedback-list", left)
        turn_to(page, "Recommend")
        assert wait_for_change(page, "list-left", left) == now
        turn_to(page, "Feedback")
        page.get_by_role("button", name="Undo").click()
        assert wait_for_change(page, "feedback-list", now) == left
