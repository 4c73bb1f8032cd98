"""The feedback log: what it takes, what it refuses, and that it forgets every byte."""

import random
import sqlite3

import pytest

from fusionlab.errors import FusionlabError
from fusionlab.reporting.recommended import event_table
from fusionlab.serving.events import Event, Kind, standing
from fusionlab.serving.feedback import FeedbackLog

USERS, ITEMS = {"anna", "berta"}, {"mug", "jug", "cup"}


@pytest.fixture
def log(tmp_path):
    with FeedbackLog(tmp_path / "log.sqlite", USERS, ITEMS) as log:
        yield log


def test_events_come_back_as_they_were_in_order(log, tmp_path):
    events = [
        Event("impression", "anna", "mug", 3.5, list="l1", context={"page": [1, None]}),
        Event("click", "anna", "mug", 2.0),
        Event("rating", "berta", "jug", 9, rating=4.5),
        Event("dislike", "anna", "cup", 1.0),
    ]
    log.add(*events)
    assert log.events() == events
    assert log.events("anna", [Kind.CLICK, Kind.DISLIKE]) == [events[1], events[3]]
    assert FeedbackLog(tmp_path / "log.sqlite").events("berta") == [events[2]]


@pytest.mark.parametrize("time", [1e300, -1e300, 3e11])
def test_a_time_that_is_no_date_is_listed_all_the_same(log, time):
    log.add(Event("click", "anna", "mug", time=time), Event("click", "anna", "cup", time=0.0))
    told = [*event_table(log.events()).columns[0].cells]
    assert [str(one) for one in told] == [f"{time:g}", "1970-01-01T00:00:00+00:00"]


def test_an_event_without_a_time_gets_that_of_its_logging(log):
    log.add(Event("click", "anna", "mug"))
    assert log.events()[0].time > 1_700_000_000


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event("clik", "anna", "mug"), "kind: found 'clik'.* did you mean 'click'"),
        (Event("click", "anne", "mug"), "user: found 'anne', .*2 ids; did you mean 'anna'"),
        (Event("click", "anna", "mugg"), "item: found 'mugg', .*3 ids; did you mean 'mug'"),
        (Event("rating", "anna", "mug"), "rating: found None, expected a number"),
        (Event("rating", "anna", "mug", rating=float("nan")), "rating: found nan"),
        (Event("click", "anna", "mug", rating=1.0), "expected none beside a click"),
        (Event("click", "anna", "mug", time=float("inf")), "time: found inf"),
        (Event("click", "anna", "mug", context={1, 2}), "context: expected what JSON"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_beside_it_is_written(log, event, message):
    with pytest.raises(FusionlabError, match=message):
        log.add(Event("click", "anna", "mug"), event)
    assert log.events() == []


def test_events_cannot_be_changed(log, tmp_path):
    log.add(Event("click", "anna", "mug"))
    with (
        sqlite3.connect(tmp_path / "log.sqlite") as other,
        pytest.raises(sqlite3.IntegrityError, match="only added"),
    ):
        other.execute("UPDATE event SET item = 'jug'")


def test_commits_are_flushed(log):
    settings = [log._open.execute(f"PRAGMA {name}").fetchone()[0] for name in SETTINGS]
    assert dict(zip(SETTINGS, settings, strict=True)) == SETTINGS


SETTINGS = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


def bytes_of(folder):
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_forgetting_a_user_leaves_none_of_their_bytes(tmp_path):
    file = tmp_path / "log.sqlite"
    with FeedbackLog(file) as log:
        for n in range(400):  # more than a page, between the events of others
            told = {"said": f"private{n}"}
            log.add(Event("click", "forgotten@home", f"i{n}", list="their-list", context=told))
            log.add(Event("click", "stays@home", f"i{n}", context={"said": f"public{n}"}))
        before = bytes_of(tmp_path)
        assert all(word in before for word in (b"forgotten@home", b"private399", b"their-list"))
        assert log.forget("forgotten@home") == 400
        after = bytes_of(tmp_path)
        for word in (b"forgotten", b"private", b"their-list"):
            assert word not in after
        assert len(log.events()) == 400
        assert b"public399" in after
        assert log.forget("forgotten@home") == 0


def test_what_cannot_be_forgotten_yet_is_said_and_done_later(tmp_path):
    file = tmp_path / "log.sqlite"
    with FeedbackLog(file) as log:
        log.add(Event("click", "forgotten@home", "mug"))
        log._open.execute("PRAGMA busy_timeout = 100")
        reader = sqlite3.connect(file, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM event").fetchall()
        with pytest.raises(FusionlabError, match="bytes are still in the file"):
            log.forget("forgotten@home")
        reader.close()
        assert log.forget("forgotten@home") == 0
        assert b"forgotten" not in bytes_of(tmp_path)


def test_opening_a_log_waits_for_no_writer(log, tmp_path):
    with sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with FeedbackLog(tmp_path / "log.sqlite") as second:  # or it would wait half a minute
            assert second.events() == []
        other.execute("ROLLBACK")


def test_a_file_that_is_no_log_is_refused(tmp_path):
    file = tmp_path / "log.sqlite"
    file.write_bytes(b"something else entirely, longer than a header" * 9)
    with pytest.raises(FusionlabError, match="cannot be used as a feedback log"):
        FeedbackLog(file)


def test_an_undo_takes_back_the_latest_event_on_its_item(log):
    done = [
        Event("impression", "anna", "mug", 1.0),
        Event("like", "anna", "mug", 2.0),
        Event("click", "anna", "jug", 3.0),
        Event("dislike", "anna", "mug", 4.0),
        Event("like", "berta", "mug", 5.0),
    ]
    log.add(*done)
    log.add(Event("undo", "anna", "mug", 6.0))
    assert standing(log.events()) == [done[1], done[2], done[4]]
    log.add(Event("undo", "anna", "mug", 7.0))
    assert standing(log.events()) == [done[2], done[4]]
    assert len(log.events()) == 7  # nothing is lost


def test_there_must_be_something_to_undo(log):
    log.add(Event("impression", "anna", "mug"), Event("like", "anna", "jug"))
    for events in ([Event("undo", "anna", "mug")], [Event("undo", "anna", "jug")] * 2):
        with pytest.raises(FusionlabError, match="undo: found nothing of 'anna' on"):
            log.add(Event("like", "berta", "cup"), *events)
    assert [event.kind for event in log.events()] == ["impression", "like"]
    log.add(Event("like", "anna", "mug"), Event("undo", "anna", "mug"))  # what it says itself
    assert [event.item for event in standing(log.events())] == ["jug"]


def test_a_flipped_bit_is_an_error_and_never_another_event(tmp_path):
    file, other, draw = tmp_path / "log.sqlite", tmp_path / "other.sqlite", random.Random(0)
    with FeedbackLog(file) as log:
        log.add(*(Event("click", f"user{n % 5}", f"item{n}", n, list="l") for n in range(60)))
        events = log.events()
    content, refusals = file.read_bytes(), []
    for _ in range(150):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"other.sqlite{suffix}").unlink(missing_ok=True)
        other.write_bytes(changed)
        try:
            with FeedbackLog(other) as log:
                assert log.events() == events
        except FusionlabError as error:
            refusals.append(str(error))
    assert all("recover" in said for said in refusals)
    assert 20 < len(refusals) < 130  # the rest are bytes that hold nothing


def test_a_log_of_before_there_were_checksums_goes_on(tmp_path):
    file = tmp_path / "log.sqlite"
    with FeedbackLog(file) as log:
        log.add(Event("click", "anna", "mug", 1.0))
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE event DROP COLUMN crc")
    connection.close()
    for n in (2, 3):
        with FeedbackLog(file) as log:
            log.add(Event("click", "anna", "mug", float(n)))
            assert [event.time for event in log.events()] == [float(k) for k in range(1, n + 1)]


@pytest.mark.parametrize("rating", [4, 4.5, -0.0, 1e300])
def test_a_checksum_is_that_of_what_the_file_gives_back(log, rating):
    log.add(Event("rating", "anna", "mug", 7, rating=rating, context={"ä": [1.5, "\u2028"]}))
    assert log.events()[0].rating == rating


def test_what_cannot_be_written_is_said(log, tmp_path):
    with sqlite3.connect(tmp_path / "log.sqlite") as other:
        other.execute("DROP TABLE event")
    other.close()
    with pytest.raises(FusionlabError, match=r"log\.sqlite: not written \(no such table: event\)"):
        log.add(Event("click", "anna", "mug"))
