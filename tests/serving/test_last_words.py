"""What stands of events and what it says by now, held against slow and plain readings of it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.serving.events import Event, Kind, standing
from fusionlab.serving.last_words import Word, last_words

EVENTS = st.lists(
    st.builds(
        Event,
        kind=st.sampled_from([*Kind, Kind.UNDO, Kind.UNDO]),
        user=st.sampled_from(["anna", "berta"]),
        item=st.sampled_from(["mug", "jug"]),
        time=st.floats(0, 9),
    ),
    max_size=25,
)


def naive(events):
    """Each undo looks through all that stands for the latest of its user on its item."""
    left = []
    for event in events:
        if event.kind != Kind.UNDO:
            left.append(event)
            continue
        for place in reversed(range(len(left))):
            one = left[place]
            if (one.user, one.item) == (event.user, event.item) and one.kind != Kind.IMPRESSION:
                del left[place]
                break
    return [event for event in left if event.kind != Kind.IMPRESSION]


@given(EVENTS)
def test_what_stands_is_what_no_undo_took_back(events):
    assert standing(events) == naive(events)


def test_many_undos_take_no_longer_each():
    """Where each looks through all that stands, forty thousand take minutes."""
    events = [Event("click", f"u{n % 100}", f"i{n}", float(n)) for n in range(40_000)]
    events += [Event("undo", one.user, one.item) for one in events]
    started = time.process_time()
    assert standing(events) == []
    assert time.process_time() - started < 20


@pytest.mark.parametrize(("kind", "liked"), [("click", True), ("like", True), ("dislike", False)])
def test_a_rating_that_says_nothing_of_liking_takes_no_word_back(kind, liked):
    """Without a least rating one only says that the item was seen."""
    said = Event(kind, "anna", "mug", 1.0, context={"page": 1})
    rating = Event("rating", "anna", "mug", 2.0, rating=1.0)
    word = Word("anna", "mug", liked, 1.0, {"page": 1})
    assert last_words([said, rating], None) == [word]
    assert last_words([rating, said], None) == [word]
    assert last_words([rating], None) == [Word("anna", "mug", None, 2.0)]


@pytest.mark.parametrize(("rating", "liked"), [(4.0, True), (3.0, True), (2.5, False)])
def test_a_rating_that_does_has_the_last_word(rating, liked):
    before = Event("dislike" if liked else "click", "anna", "mug", 1.0)
    (word,) = last_words([before, Event("rating", "anna", "mug", 2.0, rating=rating)], 3.0)
    assert (word.liked, word.time) == (liked, 2.0)


def test_words_stand_where_they_were_first_said():
    events = [Event("click", "anna", item, n) for n, item in enumerate(["mug", "jug", "cup"])]
    again = [Event("like", "anna", "mug", 5.0), Event("dislike", "anna", "jug", 6.0)]
    assert [(one.item, one.time) for one in last_words([*events, *again], None)] == [
        ("mug", 0),
        ("cup", 2),
        ("jug", 6.0),
    ]
