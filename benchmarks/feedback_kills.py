"""Kill processes that write a feedback log, and look whether anything acknowledged was lost.

    python benchmarks/feedback_kills.py --kills 1000

Each round forks two writers on one log and ends each with SIGKILL at a random moment, so that one
goes on beside what the other left. A writer says through a pipe what `FeedbackLog.add` has returned
from. All that was said must be in the log then, what was written together must be there together,
and the file must be sound. Forked writers start in a millisecond: the time is spent on writing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

from fusionlab.serving.events import Event
from fusionlab.serving.feedback import FeedbackLog

TOGETHER = 3
WRITERS = 2
LONGEST = 0.05
READY = b"ready\n"


def write_on(file: Path, who: str, pipe: int) -> None:
    """Log events, and say so, until the process is killed."""
    log = FeedbackLog(file)
    os.write(pipe, READY)
    for n in itertools.count():
        log.add(*(Event("click", who, f"{n}.{part}") for part in range(TOGETHER)))
        os.write(pipe, b"%d\n" % n)


def forked(file: Path, who: str) -> tuple[int, int]:
    """A writer that has opened the log: its process, and the end of its pipe to read."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            write_on(file, who, write)
        finally:
            os._exit(1)
    os.close(write)
    found = b""
    while found != READY:
        part = os.read(read, len(READY) - len(found))
        assert part, "a writer could not open the log"
        found += part
    return process, read


def killed(process: int, pipe: int) -> int:
    """Kill a writer; how many times it had said that something is written."""
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), "a writer ended by itself"
    with os.fdopen(pipe, "rb") as rest:
        return rest.read().count(b"\n")  # a line that was cut off was not said


def killed_round(file: Path, name: str, draw: random.Random) -> int:
    """Events that two writers had acknowledged when they were killed; AssertionError if any is
    gone, or half of what was written together is there."""
    writers = [forked(file, f"{name}.{one}") for one in range(WRITERS)]
    said = []
    for writer in writers:
        time.sleep(draw.uniform(0, LONGEST / WRITERS))
        said.append(killed(*writer))
    with FeedbackLog(file) as log:
        for one, count in enumerate(said):
            found = [event.item for event in log.events(f"{name}.{one}")]
            whole = [f"{n}.{p}" for n in range(len(found) // TOGETHER) for p in range(TOGETHER)]
            assert found == whole, "events are missing, or were written in part"
            assert count * TOGETHER <= len(found) <= (count + 1) * TOGETHER, "an event was lost"
    return sum(said) * TOGETHER


def check_sound(file: Path) -> None:
    """SQLite's own check of the whole file."""
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def main() -> None:
    """Kill, count and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    kills = parser.parse_args().kills
    draw, started = random.Random(0), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.sqlite"
        rounds = -(-kills // WRITERS)
        events = sum(killed_round(file, str(n), draw) for n in range(rounds))
        check_sound(file)
    print(
        f"{rounds * WRITERS:,} kills, {events:,} acknowledged events, 0 lost "
        f"({time.perf_counter() - started:.0f} s)"
    )


if __name__ == "__main__":
    main()
