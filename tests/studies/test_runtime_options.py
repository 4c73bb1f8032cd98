"""Precision, feature storage, profiles and compilation: every option trains and is recorded."""

import shutil

import pytest

from fusionlab.config import load_study
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

OPTIONS = [
    {"runtime.precision": "bf16"},
    {"runtime.features": "bf16"},
    {"runtime.threads": 2},
    {"recommender.profile": "attention"},
    {"recommender.profile": "recency"},
    {"training.loss": "softmax", "training.negatives": 4},
    {"training.loss": "bce", "training.weight_decay": 0.1},
    {"inputs.scaling": "feature"},
    {"evaluation.metrics": ["ndcg", "auc"]},
]


def trained(study_file, tmp_path, changes):
    experiment = load_study(study_file).experiment.varied({"training.epochs": 6, **changes})
    return run_experiment(experiment, RunStore(tmp_path / "runs"))


@pytest.mark.parametrize("changes", OPTIONS, ids=lambda changes: next(iter(changes)))
def test_option_trains(study_file, tmp_path, changes):
    record = trained(study_file, tmp_path, changes)
    assert record.history[-1]["loss"] < record.history[0]["loss"]
    assert "ndcg@5" in record.metrics["test"]


def test_reduced_features_are_recorded(study_file, tmp_path):
    whole, reduced = (trained(study_file, tmp_path, {"inputs.energy": e}) for e in (None, 0.5))
    widths = [[one["dim"] for one in run.dataset["features"].values()] for run in (whole, reduced)]
    assert all(few < many for many, few in zip(*widths, strict=True))
    assert reduced.history[-1]["loss"] < reduced.history[0]["loss"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++")
def test_compiled_fusion_trains_like_the_eager_one(study_file, tmp_path):
    eager, compiled = (
        trained(study_file, tmp_path, {"runtime.compile": compile}) for compile in (False, True)
    )
    assert eager.id != compiled.id
    assert compiled.history[-1]["loss"] == pytest.approx(eager.history[-1]["loss"], rel=1e-3)
