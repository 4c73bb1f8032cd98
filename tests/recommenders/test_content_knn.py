"""Neighbours by content against plain loops over the history."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fusionlab.config import experiment_from
from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from tests.conftest import random_features


def build(clicks, features):
    return RECOMMENDERS.parse("content_knn").build(Context(clicks, 8, features=features), None)


def by_loops(clicks, features):
    scores = torch.zeros(clicks.n_users, clicks.n_items)
    on = {m: features.present(m) for m in features.modalities}
    x = {m: v[:, 0] for m, v in features.values.items()}
    for user in range(clicks.n_users):
        history = clicks.items[clicks.indptr[user] : clicks.indptr[user + 1]].tolist()
        for item in range(clicks.n_items):
            means = []
            for m in features.modalities:
                if not on[m][item]:
                    continue
                alike = [
                    F.cosine_similarity(x[m][item], x[m][j], dim=0) for j in history if on[m][j]
                ]
                means.append(sum(alike) / len(alike) if alike else torch.zeros(()))
            scores[user, item] = sum(means) / len(means) if means else 0
    return scores


@pytest.mark.parametrize("missing", [0, 0.2, 0.7])
def test_scores_equal_plain_loops(clicks, missing):
    features = random_features(missing=missing)
    scores = build(clicks, features).ranker(None)(torch.arange(20))
    torch.testing.assert_close(scores, by_loops(clicks, features), atol=1e-5, rtol=1e-5)


def test_an_item_nobody_clicked_is_served_by_what_it_is_like(clicks, features):
    kept = Clicks(clicks.indptr, clicks.items % 25, 30)
    values = {m: torch.where(features.mask[m][..., None], x, 0) for m, x in features.values.items()}
    liked = int(kept.items[0])
    for x in values.values():
        x[27] = 3 * x[liked]
    alike = replace(
        features, values=values, mask={m: torch.ones_like(on) for m, on in features.mask.items()}
    )
    scores = build(kept, alike).ranker(None)(torch.tensor([0]))[0]  # user 0 has one click
    present = [m for m, x in values.items() if x[liked].any()]
    assert scores[27] == scores.max()
    assert scores[27] == pytest.approx(len(present) / 2, abs=1e-6)


def test_it_needs_features(clicks):
    with pytest.raises(FusionlabError, match="'content_knn' reads item features"):
        RECOMMENDERS.parse("content_knn").build(Context(clicks, 8), None)


def test_an_experiment_builds_no_fusion_and_trains_nothing(tmp_path):
    experiment = experiment_from(
        {
            "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12},
            "recommender": "content_knn",
            "fusion": "llm_prefix",  # it would load a model
            "evaluation": {"cutoffs": [5], "one_missing": True, "metrics": ["ndcg"]},
        }
    )
    record = run_experiment(experiment, RunStore(tmp_path))
    assert record.cost.parameters == 0
    assert record.cost.epochs == 0
    found = record.metrics["test"]
    lost = [found[f"ndcg@5 without {name}"] for name in ("text", "image", "audio")]
    assert len({found["ndcg@5"], *lost}) == 4
