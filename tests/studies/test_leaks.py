"""Nothing leaks: not the target into its own profile, not the features of other items."""

from dataclasses import replace

import pytest
import torch

from fusionlab.config import load_study
from fusionlab.data.features import ItemFeatures
from fusionlab.evaluation.significance import compare, over_seeds
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.items import catalogue_views
from fusionlab.training.sampling import NegativeSampler
from tests.conftest import random_clicks


def pair_auc(leave_out):
    """Share of train clicks scored above a drawn item, on features that know nothing."""
    clicks = random_clicks(users=400, items=300, per_user=12, seed=1)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(300, 1, 64, generator=draw)
    features = ItemFeatures({"noise": x}, {"noise": torch.ones(300, 1, dtype=torch.bool)})
    torch.manual_seed(0)
    fusion = FUSIONS.parse("concat").build(features.specs, 64)
    model = RECOMMENDERS.parse("content").build(Context(clicks, 64), fusion)
    items = catalogue_views(fusion, features)
    users = clicks.users
    other = NegativeSampler(clicks).draw(users, 1, draw)[:, 0]
    query = model.user_views(users, items, torch.arange(len(clicks)) if leave_out else None)[:, 0]
    clicked, drawn = ((query * items.take(rows)[:, 0]).sum(1) for rows in (clicks.items, other))
    return (clicked > drawn).double(), users


def test_a_profile_without_its_target_cannot_tell_it_from_another():
    right, users = pair_auc(leave_out=True)
    naive, _ = pair_auc(leave_out=False)
    by_user = torch.zeros(400, dtype=torch.double).index_add_(0, users, right)[2:] / 12
    standard_error = by_user.std() / len(by_user) ** 0.5
    assert abs(by_user.mean() - 0.5) < 4 * standard_error
    assert naive.mean() > 0.75


@pytest.mark.parametrize("name", ["pca", "cca"])
def test_closed_forms_and_scaling_are_fitted_on_train_items_only(study_file, name):
    experiment = load_study(study_file).experiment.varied(
        {"fusion": name, "dataset.split": {"name": "cold_items", "valid": 0.2, "test": 0.2}}
    )
    dataset = load_dataset(experiment)
    cold = dataset.interactions.train.popularity == 0
    assert cold.any()
    far = {m: x.clone() for m, x in dataset.features.values.items()}
    for x in far.values():
        x[cold] = 1000 * x[cold] + 7
    changed = replace(dataset, features=ItemFeatures(far, dataset.features.mask))
    first, second = (build_task(experiment, one).model.state_dict() for one in (dataset, changed))
    assert first
    for key, fitted in first.items():
        assert torch.equal(fitted, second[key]), key


@pytest.mark.slow
def test_shuffled_features_fall_to_the_id_only_control(study_file, tmp_path):
    study = load_study(study_file)
    base = study.experiment.varied(
        {
            "dataset": {
                **{"name": "synthetic", "users": 400, "items": 300, "clicks": 12},
                **{"nuisance": 0, "noise": 0.1, "synergy": 0.0},
            },
            "recommender": {"name": "hybrid", "l2": 0.05},
            "training.epochs": 15,
            "evaluation.cutoffs": [20],
        }
    )
    variants = {
        "features": {},
        "shuffled": {"inputs.shuffled": True},
        "ids": {"recommender": {"name": "bpr_mf", "l2": 0.05}},
    }
    store, per_user = RunStore(tmp_path), {}
    for label, changes in variants.items():
        records = [
            run_experiment(base.varied({**changes, "seed": seed}), store) for seed in range(3)
        ]
        frames = [record.per_user() for record in records]
        per_user[label] = over_seeds(
            [frame.filter(frame["split"] == "test")["ndcg@20"].to_numpy() for frame in frames]
        )
    against_ids = {
        c.label: c
        for c in compare(per_user["ids"], {k: per_user[k] for k in variants if k != "ids"})
    }
    assert against_ids["features"].interval[0] > 0
    assert against_ids["shuffled"].interval[0] < 0 < against_ids["features"].difference
    assert against_ids["shuffled"].difference < against_ids["features"].difference / 4


def test_validation_does_not_see_test(study_file):
    dataset = load_dataset(load_study(study_file).experiment)
    train, valid = dataset.interactions.train, dataset.interactions.valid
    pairs = [set(zip(c.users.tolist(), c.items.tolist(), strict=True)) for c in (train, valid)]
    assert not pairs[0] & pairs[1]
