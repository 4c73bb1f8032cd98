"""What people did with what they were shown: a log that loses nothing and forgets on request."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time as clock
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusionlab.data.disk import flush
from fusionlab.errors import FusionlabError, one_of
from fusionlab.serving.events import SAID, Event, Kind, standing
from fusionlab.serving.ids import require_known

SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    user TEXT NOT NULL,
    item TEXT NOT NULL,
    time REAL NOT NULL,
    rating REAL,
    list TEXT,
    context TEXT,
    crc INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS event_of_user ON event (user);
CREATE TRIGGER IF NOT EXISTS event_stays BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
"""
MADE = 3
"""What `SCHEMA` makes, all called event...: a table, an index and a trigger."""
COLUMNS = "kind, user, item, time, rating, list, context"
"""And ``crc``, of all of them; NULL in rows of before there was one."""
WAIT = 30.0
"""Seconds to wait for another process that writes."""
DAMAGED = sqlite3.Error, ValueError, RecursionError
"""What SQLite says of a file that is none of its own or was changed, and of text that is none."""
WAY_OUT = "put back a copy, or save what can be read: sqlite3 FILE .recover"
"""Of a file that was damaged."""


class FeedbackLog:
    """Events in an append-only SQLite file, which threads and processes may write at once.

    Once `add` has returned its events are on the disk: they survive the end of the process at any
    moment and a loss of power (a write-ahead log, flushed at every commit). The events of one call
    are there together or not at all.

    Args:
        file: the log; made if it is not there.
        users, items: the ids that events may name; None: any. Users of whom there is an event by
            now may be named again.
        known_as: what the log calls a user; default: by their id.
    """

    def __init__(
        self,
        file: Path,
        users: Collection[str] | None = None,
        items: Collection[str] | None = None,
        known_as: Callable[[str], str] = str,
    ) -> None:
        self.file, self.users, self.items, self.known_as = file, users, items, known_as
        self._lock = threading.RLock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(
                file, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
            self._set_up()
        except (OSError, *DAMAGED) as error:
            raise FusionlabError(
                f"{file}: cannot be used as a feedback log ({error}); make it writable or free "
                f"space there; if it was damaged, {WAY_OUT}"
            ) from None
        flush(file.parent)

    def _set_up(self) -> None:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self._open.execute(f"PRAGMA {setting}")
        there = "SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'event%'"
        if self._open.execute(there).fetchone()[0] < MADE:  # else nobody need wait for a writer
            self._open.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        if not self._has_sums():  # a log of before
            with self._writing() as connection:
                if not self._has_sums():
                    connection.execute("ALTER TABLE event ADD COLUMN crc INTEGER")

    def _has_sums(self) -> bool:
        named = "SELECT 1 FROM pragma_table_info('event') WHERE name = 'crc'"
        return self._open.execute(named).fetchone() is not None

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def __enter__(self) -> FeedbackLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, *events: Event) -> None:
        """Write events, all or none; they are on the disk when this returns.

        Raises:
            FusionlabError: an unknown kind, user or item (with the nearest known one), a rating
                without a number or a number without a rating, a time that is none, an undo of
                nothing.
        """
        with self._writing() as connection:
            for event in events:
                row = self._row(event)
                if event.kind == Kind.UNDO and not any(
                    one.item == event.item for one in standing(self.events(event.user, SAID))
                ):
                    raise FusionlabError(
                        f"undo: found nothing of {event.user!r} on {event.item!r} to take back"
                    )
                connection.execute(
                    f"INSERT INTO event ({COLUMNS}, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, _crc(row)),
                )

    def events(self, user: str | None = None, kinds: Collection[str] = ()) -> list[Event]:
        """Events in the order in which they were logged: of one user, of some kinds, or all.

        The checksum of every row that is read is compared; who asks for all users has the whole
        file checked besides (`PRAGMA integrity_check`).

        Raises:
            FusionlabError: the file was cut off, or has changed by a byte.
        """
        asked = [*([] if user is None else [self.known_as(user)]), *kinds]
        wanted = ["user = ?"] if user is not None else []
        wanted += [f"kind IN ({', '.join('?' * len(kinds))})"] if kinds else []
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        query = f"SELECT {COLUMNS}, crc FROM event {where} ORDER BY id"
        try:
            with self._lock:
                verdict = "ok"
                if user is None:
                    verdict = self._open.execute("PRAGMA integrity_check(1)").fetchone()[0]
                found = self._open.execute(query, asked).fetchall()
            if verdict == "ok" and any(crc not in (None, _crc(row)) for *row, crc in found):
                verdict = "a row is not what was written"
            if verdict == "ok":
                return [
                    Event(kind, who, item, time, rating, shown, context and json.loads(context))
                    for kind, who, item, time, rating, shown, context, _ in found
                ]
        except DAMAGED as error:
            verdict = str(error)
        raise self._damaged(verdict)

    def _damaged(self, why: str) -> FusionlabError:
        return FusionlabError(
            f"{self.file}: was cut off or changed since it was written ({why}); {WAY_OUT}"
        )

    def forget(self, *users: str) -> int:
        """Remove every event under one of the names ``users`` (as the log has them) and every byte
        of them; returns how many there were.

        Deleted content is overwritten with zeros, the file is written anew without it and the
        write-ahead log is emptied. If this is interrupted, or another process was reading, call it
        again: it finishes even where no event is left. What other users' events say of the user
        (in a context) stays, and so does what a model has learned.

        Raises:
            FusionlabError: another process keeps the old content in use.
        """
        with self._writing() as connection:
            asked = f"DELETE FROM event WHERE user IN ({', '.join('?' * len(users))})"
            count = connection.execute(asked, users).rowcount
        try:
            with self._lock:
                self._empty_wal()
                self._open.execute("VACUUM")
                self._empty_wal()
        except DAMAGED as error:
            raise FusionlabError(
                f"{self.file}: the events of {users[0]!r} are deleted, but their bytes are still "
                f"in the file ({error}): another process uses it, or it is damaged; forget the "
                "user again"
            ) from None
        return count

    def _empty_wal(self) -> None:
        busy, *_ = self._open.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the write-ahead log cannot be emptied")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._lock:
                self._open.execute("BEGIN IMMEDIATE")
                try:
                    yield self._open
                except BaseException:
                    self._open.execute("ROLLBACK")
                    raise
                self._open.execute("COMMIT")
        except DAMAGED as error:
            raise FusionlabError(
                f"{self.file}: not written ({error}); what was logged before is there"
            ) from None

    def _row(self, event: Event) -> tuple[Any, ...]:
        if event.kind not in set(Kind):
            raise FusionlabError(f"kind: {one_of(event.kind, map(str, Kind))}")
        for what, found in (("user", event.user), ("item", event.item)):
            if not isinstance(found, str) or not found:
                raise FusionlabError(f"{what}: found {found!r}, expected an id")
        user = self.known_as(event.user)
        if self.users is not None and user not in self.users and not self.events(event.user):
            require_known("user", event.user, self.users)
        require_known("item", event.item, self.items)
        rated = event.kind == Kind.RATING
        if rated != (event.rating is not None) or not _is_number(event.rating):
            expected = "a number" if rated else f"none beside a {event.kind}"
            raise FusionlabError(f"rating: found {event.rating!r}, expected {expected}")
        if not _is_number(event.time):
            raise FusionlabError(f"time: found {event.time!r}, expected seconds since 1970")
        try:
            told = None if event.context is None else json.dumps(event.context, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise FusionlabError(f"context: expected what JSON can hold ({error})") from None
        now = clock.time() if event.time is None else event.time
        rating = None if event.rating is None else float(event.rating)
        return (str(event.kind), user, event.item, float(now), rating, event.list, told)


def _crc(row: Sequence[Any]) -> int:
    """Of the seven values of a row, as the file gives them back."""
    kind, user, item, time, rating, *rest = row
    numbers = [None if x is None else float(x) + 0.0 for x in (time, rating)]  # no -0.0 is kept
    return zlib.crc32(json.dumps([kind, user, item, *numbers, *rest]).encode())


def _is_number(value: float | None) -> bool:
    try:
        return value is None or (isinstance(value, int | float) and math.isfinite(value))
    except OverflowError:  # an integer beyond what a float holds
        return False
