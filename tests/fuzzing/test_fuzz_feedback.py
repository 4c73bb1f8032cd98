"""Events of every kind, and logs of them that were damaged on the disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.reporting.recommended import event_table
from fusionlab.serving.events import Event, Kind
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.last_words import last_words
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOWS, contents, damaged
from tests.fuzzing.ground import Ground, bounded, in_memory, refusing_cleanly

__all__ = ["bounded"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
ID = (
    st.sampled_from(["ann", "bob", "mug"])
    | st.text()
    | st.sampled_from([None, "\ud800", 7, b"ann"])
)
NUMBER = st.none() | st.floats() | st.integers() | st.sampled_from(["1", True, 2**70, 10**400])
EVENT = st.builds(
    Event,
    kind=st.sampled_from([*Kind, "clik"]) | ID,
    user=ID,
    item=ID,
    time=NUMBER,
    rating=NUMBER,
    list=ID,
    context=JSON | st.binary() | st.just({1, 2}) | st.dictionaries(st.integers(), JSON),
)
PEOPLE = st.sampled_from(["ann", "bob"])
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def likely(kinds, rating):
    """Events that can be logged, but for an undo of nothing and contexts that are no JSON."""
    return st.builds(
        Event,
        kind=kinds,
        user=PEOPLE,
        item=st.just("mug"),
        time=st.none() | FINITE,
        rating=rating,
        list=st.none() | st.text(),
        context=JSON,
    )


LIKELY = likely(st.just(Kind.RATING), FINITE) | likely(
    st.sampled_from([kind for kind in Kind if kind != Kind.RATING]), st.none()
)
LISTS = st.lists(LIKELY, min_size=1, max_size=3) | st.lists(LIKELY | EVENT, min_size=1, max_size=3)


@pytest.mark.usefixtures("bounded")
def test_events_are_logged_as_they_are_or_not_at_all():
    @inputs("events")
    @given(LISTS)
    def add(events):
        with refusing_cleanly():
            before = len(log.events())
            try:
                log.add(*events)
            except BaseException:
                assert len(log.events()) == before
                raise
            found = log.events()[before:]
            assert [(e.kind, e.user, e.item) for e in found] == [
                (e.kind, e.user, e.item) for e in events
            ]
            event_table(found)
            last_words(found, 3.0)
        log.forget("ann", "bob")

    with (
        in_memory() as home,
        FeedbackLog(home / "log.sqlite", {"ann", "bob"}, {"mug"}) as log,
    ):
        add()


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The files of a log that is closed, and of one that a killed process had open."""
    home = tmp_path_factory.mktemp("log")
    with FeedbackLog(home / "log.sqlite") as log:
        log.add(*(Event("click", f"u{n}", "mug", context={"n": [n]}) for n in range(40)))
        log.forget("u3")
        log.add(*(Event("like", f"u{n}", "cup") for n in range(4)))
        opened = contents(home)
    return {"open": opened, "closed": contents(home)}


@pytest.mark.usefixtures("bounded")
def test_a_damaged_log_is_read_or_refused(logs):
    @inputs("feedback files")
    @given(st.sampled_from(sorted(logs)), BLOWS)
    def read(state, damage):
        with in_memory() as home:
            Ground(home).lay(damaged(logs[state], damage))
            with refusing_cleanly(), FeedbackLog(home / "log.sqlite") as log:
                log.events("u1")
                found = log.events()
                event_table(found)
                last_words(found, None)
                log.add(Event("click", "u1", "mug"))
                log.forget("u1")
                assert not log.events("u1")

    read()
