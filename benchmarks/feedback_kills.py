"""Kill processes that write a feedback log, and look whether anything acknowledged was lost.

    python benchmarks/feedback_kills.py --kills 1000

Each round starts two writers on one log and ends both with SIGKILL at a random moment. A writer
says on its standard output what `FeedbackLog.add` has returned from. All that was said must be
in the log then, what was written together must be there together, and the file must be sound.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fusionlab.serving.feedback import FeedbackLog

TOGETHER = 3
WRITERS = 2
LONGEST = 0.05
WRITER = f"""
import itertools, os, sys
from pathlib import Path
from fusionlab.serving.feedback import Event, FeedbackLog
log, who = FeedbackLog(Path(sys.argv[1])), sys.argv[2]
os.write(1, b"ready\\n")
for n in itertools.count():
    log.add(*(Event("click", who, f"{{n}}.{{part}}") for part in range({TOGETHER})))
    os.write(1, b"%d\\n" % n)
"""


def killed_round(file: Path, name: str, draw: random.Random) -> int:
    """Events that two writers had acknowledged when they were killed; AssertionError if any is
    gone, or half of what was written together is there."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), f"{name}.{one}"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for one in range(WRITERS)
    ]
    said = []
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n", "a writer could not open the log"
    time.sleep(draw.uniform(0, LONGEST))
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        rest = writer.communicate()[0]
        assert writer.returncode == -signal.SIGKILL, "a writer ended by itself"
        said.append(rest.count(b"\n"))  # a line that was cut off was not said
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
        f"{rounds * WRITERS:,} kills, {events:,} acknowledged events, none lost "
        f"({time.perf_counter() - started:.0f} s)"
    )


if __name__ == "__main__":
    main()
