"""The matrix of faults: a light cell of it always, all of it where there is time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "faults.py"
OPERATIONS = 6


def matrix(*words):
    """In a process of its own: it forks, which one with threads had better not."""
    command = [sys.executable, str(FILE), *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return re.search(r"(\d+) of (\d+) tries held; (\d+) processes were killed; 0 ack", found.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_training_is_killed_and_loses_nothing():
    found = matrix("--only", "train", "kill -9", "NaN", "--tries", "2")
    assert found.groups() == ("4", "4", "2")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_every_operation_holds_under_every_fault():
    held, tried, kills = map(int, matrix("--tries", "1").groups())
    assert held == tried
    assert kills == 2 * OPERATIONS  # each is killed and terminated once
