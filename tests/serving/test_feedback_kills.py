"""Processes killed while they write lose nothing they were told is written."""

import importlib.util
import random
from pathlib import Path

FILE = Path(__file__).parents[2] / "benchmarks" / "feedback_kills.py"
spec = importlib.util.spec_from_file_location("feedback_kills", FILE)
kills = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kills)


def test_thirty_kills_lose_no_acknowledged_event(tmp_path):
    draw, file = random.Random(1), tmp_path / "log.sqlite"
    said = [kills.killed_round(file, str(n), draw) for n in range(15)]
    kills.check_sound(file)
    assert sum(said) > 0
