"""A tuned study that is killed (kill -9) ends with the quality table of one that is not."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from study_kills import TABLES, command, kill_again_and_again, left_of, run


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_tuned_studies_end_like_an_uninterrupted_one(tuned_file, tmp_path, workers):
    peace, fire = tmp_path / "peace", tmp_path / "fire"
    whole = run(command(str(tuned_file), [], peace, 1))
    start = run(command(str(tuned_file), [], peace, 1))
    under_fire = command(str(tuned_file), [], fire, workers)
    kill_again_and_again(under_fire, fire, 3, whole, start / 2, random.Random(workers))
    run(under_fire)
    for name in TABLES:
        assert (fire / "report" / name).read_bytes() == (peace / "report" / name).read_bytes()
    assert "9 trials (tpe, median pruner)" in (fire / "report" / "quality.md").read_text()
    assert left_of(fire / "runs") == left_of(peace / "runs")
    assert not any((fire / "runs" / ".partial").iterdir())
