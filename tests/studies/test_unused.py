"""A modality that is not used is said, and no other."""

import json

import pytest
import torch

from fusionlab import terminal
from fusionlab.config import experiment_from
from fusionlab.data.sealed import SEAL
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.fusion.feature_level.concat import Concat
from fusionlab.recommenders.contract import RECOMMENDERS
from fusionlab.recommenders.hybrid import Hybrid
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.unused import unused_modalities

SMALL = {
    "dataset": {"name": "synthetic", "users": 50, "items": 90, "clicks": 8},
    "dim": 8,
    "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
}
CLASSES = {"task": "classification", "dataset": {**SMALL["dataset"], "task": "classification"}}
ALL = ["text", "image", "audio"]


class LikeBm3(Hybrid):
    """Content is trained with, and left out when items are ranked."""

    def ranker(self, items, features=None):
        return super().ranker(None)


class Deaf(Concat):
    """It never reads sounds."""

    def forward(self, items):
        return super().forward(items.only({"text", "image"}))


@pytest.fixture
def parts(monkeypatch):
    RECOMMENDERS.names(), FUSIONS.names()
    monkeypatch.setitem(RECOMMENDERS._parts, "like_bm3", LikeBm3)
    monkeypatch.setitem(FUSIONS._parts, "deaf", Deaf)


def warned(task):
    return [name for name in ALL if any(repr(name) in text for text in unused_modalities(task))]


def built(**changes):
    experiment = experiment_from({**SMALL, **changes})
    torch.manual_seed(0)
    task = build_task(experiment, load_dataset(experiment))
    task.model.eval()
    return task


def test_a_recommender_that_ranks_without_content_is_named(parts, tmp_path, capsys):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from({**SMALL, "recommender": "like_bm3"}), store)
    assert [name for name in ALL if repr(name) in " ".join(record.warnings)] == ALL
    assert store.load(record.id).warnings == record.warnings
    terminal.show(*terminal.warning_panels(record))
    shown = capsys.readouterr().out
    assert shown.count("WARNING") == 3
    assert "modality 'image' is not used" in shown


@pytest.mark.parametrize("changes", [{}, {"recommender": "hybrid"}, CLASSES], ids=str)
def test_only_the_modality_that_is_not_read_is_named(parts, changes):
    assert warned(built(**changes, fusion="deaf")) == ["audio"]
    assert warned(built(**changes, fusion="concat")) == []


@pytest.mark.parametrize("name", [n for n in FUSIONS.names() if n != "llm_prefix"])
@pytest.mark.parametrize("recommender", ["content", "hybrid"])
def test_no_strategy_of_the_package_is_blamed(name, recommender):
    options = {"item_ids": False} if FUSIONS[name].by_rank and recommender == "hybrid" else {}
    part = specimen(name).model_dump(mode="json")
    assert warned(built(fusion=part, recommender={"name": recommender, **options})) == []


def test_a_rare_modality_is_looked_at_where_it_is(tmp_path):
    dataset = {**SMALL["dataset"], "items": 400, "missing": {"audio": 0.97}}
    assert warned(built(dataset=dataset)) == []


@torch.no_grad()
def test_a_difference_below_a_millionth_of_the_range_is_none():
    task = built(fusion="sum")
    assert warned(task) == []
    for weight in task.model.fusion.modality_parameters("audio"):
        weight *= 1e-9
    assert warned(task) == ["audio"]


def test_who_reads_no_features_is_not_warned_of(tmp_path):
    for recommender in ("popularity", "bpr_mf"):
        assert unused_modalities(built(recommender=recommender)) == []


def test_a_record_without_warnings_still_loads(tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL), store)
    file = record.folder / "record.json"
    data = json.loads(file.read_text())
    assert data.pop("warnings") == []
    del data[SEAL]
    file.write_text(json.dumps(data))
    assert store.load(record.id) == record
