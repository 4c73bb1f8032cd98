"""A tuned study that is killed (kill -9) ends with the quality table of one that is not."""

import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "benchmarks" / "study_kills.py"
spec = importlib.util.spec_from_file_location("study_kills", FILE)
kills = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kills)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_tuned_studies_end_like_an_uninterrupted_one(tuned_file, tmp_path, workers):
    peace, fire = tmp_path / "peace", tmp_path / "fire"
    kills.run(kills.command(str(tuned_file), [], peace, 1))
    under_fire = kills.command(str(tuned_file), [], fire, workers)
    kills.kill_again_and_again(under_fire, fire, peace, 3, 5.0, random.Random(workers))
    kills.run(under_fire)
    kills.compare(peace, fire)
    assert "9 trials (tpe, median pruner)" in (fire / "report" / "quality.md").read_text()


@pytest.mark.slow
def test_a_tuned_study_whose_workers_on_ray_are_killed_ends_like_an_uninterrupted_one(
    tuned_file, tmp_path, monkeypatch
):
    pytest.importorskip("ray", reason="pip install 'fusionlab-recsys[ray]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    peace, fire = tmp_path / "peace", tmp_path / "fire"
    kills.run(kills.command(str(tuned_file), [], peace, 1))
    under_fire = kills.command(str(tuned_file), [], fire, 1, "local")
    kills.kill_workers(under_fire, fire, peace, 3, random.Random(0))
    kills.run(under_fire)
    kills.compare(peace, fire)
