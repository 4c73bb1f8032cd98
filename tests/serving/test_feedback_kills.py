"""Processes killed while they write lose nothing they were told is written."""

import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "benchmarks" / "feedback_kills.py"


def test_thirty_kills_lose_no_acknowledged_event():
    """In a process of its own: it forks, which one with threads had better not."""
    words = [sys.executable, str(FILE), "--kills", "30"]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    kills, events = re.match(
        r"(\d+) kills, ([\d,]+) acknowledged events, 0 lost", told.stdout
    ).groups()
    assert kills == "30"
    assert int(events.replace(",", "")) > 0


def test_a_writer_needs_the_log_and_nothing_heavy():
    heavy = ["torch", "numpy", "polars", "pydantic"]
    script = (
        f"import sys, fusionlab.serving.feedback; print([m for m in {heavy} if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
