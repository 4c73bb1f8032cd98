"""A run with nothing to train goes straight to the final judgement."""

import numpy as np
import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.seal import Sealed
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore


class TwoGroups(DatasetFormat):
    """Items in two groups that both modalities show; each user clicks within one group."""

    def load(self):
        draw = np.random.default_rng(0)
        group = np.arange(20) % 2
        values = {
            name: torch.tensor(group[:, None] + 0.1 * draw.normal(size=(20, 3))).float()[:, None]
            for name in ("text", "image")
        }
        mask = {name: torch.ones(20, 1, dtype=torch.bool) for name in values}
        chosen = np.stack([draw.permutation(np.flatnonzero(group == u % 2)) for u in range(12)])

        def clicks(part):
            picked = chosen[:, part]
            users = np.repeat(np.arange(12), picked.shape[1])
            return Clicks.from_pairs(users, picked.ravel(), 12, 20)

        interactions = Interactions(
            pl.Series([f"u{u}" for u in range(12)]),
            clicks(slice(0, 5)),
            clicks(slice(5, 7)),
            Sealed("test clicks", clicks(slice(7, 9))),
        )
        ids = pl.Series([f"i{i}" for i in range(20)])
        return Dataset("two groups", ids, ItemFeatures(values, mask), interactions, None, "0" * 64)


@pytest.fixture
def dataset(monkeypatch):
    DATASETS.names()
    monkeypatch.setitem(DATASETS._parts, "two_groups", TwoGroups)
    return "two_groups"


@pytest.mark.parametrize("fusion", ["pca", "cca"])
def test_a_closed_form_fusion_under_a_plain_profile_is_not_trained(dataset, fusion, tmp_path):
    experiment = experiment_from(
        {
            "dataset": dataset,
            "fusion": fusion,
            "recommender": "content",
            "dim": 4,
            "evaluation": {"cutoffs": [5]},
        }
    )
    record = run_experiment(experiment, RunStore(tmp_path))
    assert (record.cost.parameters, record.cost.epochs, record.history) == (0, 0, [])
    assert record.metrics["test"]["recall@5"] == 1


def test_a_fusion_with_parameters_is_trained(dataset, tmp_path):
    experiment = experiment_from(
        {
            "dataset": dataset,
            "fusion": "mean",
            "dim": 4,
            "training": {"epochs": 2},
            "evaluation": {"cutoffs": [5]},
        }
    )
    record = run_experiment(experiment, RunStore(tmp_path))
    assert record.cost.epochs == 2
    assert record.cost.parameters == 2 * (3 * 4 + 4)
