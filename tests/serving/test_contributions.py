"""What a score loses without a modality: by its definition, and in a model where it is known."""

import pytest
import torch

from fusionlab.config import Experiment
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import NOTHING, top_k
from fusionlab.schema import validate
from fusionlab.serving.contributions import contributions, shapley_contributions
from fusionlab.studies.build import build_task


def task_of(recommender, fusion):
    experiment = validate(
        Experiment,
        {
            "dataset": {"name": "synthetic", "users": 30, "items": 40, "clicks": 10},
            "dim": 8,
            "recommender": recommender,
            "fusion": fusion,
        },
    )
    torch.manual_seed(0)
    task = build_task(experiment, experiment.dataset.build().load())
    task.model.eval()
    for name, weight in task.model.named_parameters():
        if "tastes" in name:  # larger than at the start, so that views count beside ID factors
            torch.nn.init.normal_(weight)
    return task


@pytest.mark.parametrize("fusion", ["concat", "gated", "user_gate"])
@pytest.mark.parametrize("recommender", ["hybrid", "content"])
def test_each_is_the_score_less_that_of_a_catalogue_without_the_modality(recommender, fusion):
    task = task_of(recommender, fusion)
    users = torch.arange(30)
    lists, scores = top_k(task.ranker(), task.train, users, 5)
    found = contributions(task.model, task.features, users, lists)
    assert list(found) == ["text", "image", "audio"]
    for name, lost in found.items():
        rest = task.features.only({"text", "image", "audio"} - {name})
        with torch.no_grad():
            ranked = [task.ranker(features=rest)(users[row : row + 1])[0] for row in range(30)]
        without = torch.stack(ranked)
        torch.testing.assert_close(lost, scores - without.gather(1, lists), atol=1e-4, rtol=1e-4)
    assert min(lost.abs().max() for lost in found.values()) > 1e-3


def test_a_modality_that_is_not_there_counts_nothing_and_padding_neither():
    task = task_of("hybrid", "mean_scores")
    off = torch.zeros(40, dtype=torch.bool)
    off[:20] = True
    features = task.features.masked({"image": off})
    lists = torch.arange(40).expand(3, -1).clone()
    lists[:, -1] = NOTHING
    found = contributions(task.model, features, torch.arange(3), lists)
    assert found["image"][:, :20].abs().max() == 0
    assert found["image"][:, 20:-1].abs().min() > 0
    assert all((lost[:, -1] == 0).all() for lost in found.values())


def test_recommenders_without_content_are_refused():
    task = task_of("bpr_mf", "concat")
    with pytest.raises(FusionlabError, match="'bpr_mf' reads no item features"):
        contributions(task.model, task.features, torch.arange(2), torch.zeros(2, 1).long())


@pytest.mark.parametrize("recommender", ["hybrid", "content"])
def test_shapley_values_of_a_score_add_up_to_it(recommender):
    task = task_of(recommender, "gated")
    users = torch.arange(30)
    lists, scores = top_k(task.ranker(), task.train, users, 5)
    lists[0, -1] = NOTHING
    found = shapley_contributions(task.model, task.features, users, lists)
    total = found.nothing + sum(found.values.values())
    listed = lists != NOTHING
    torch.testing.assert_close(total[listed].float(), scores[listed], atol=1e-4, rtol=1e-4)
    assert all((values[~listed] == 0).all() for values in found.values.values())
    ids = task.model.ids if recommender == "hybrid" else None
    if ids is not None:
        alone = ids.user_factors(users) @ ids.item_factors(torch.arange(40)).T
        expected = alone.gather(1, lists.clamp(min=0))[listed]
        torch.testing.assert_close(found.nothing[listed].float(), expected, atol=1e-5, rtol=1e-4)


def test_where_views_are_summed_shapley_is_what_masking_loses():
    task = task_of({"name": "hybrid", "item_ids": False}, "sum")
    users = torch.arange(30)
    lists, _ = top_k(task.ranker(), task.train, users, 5)
    masked = contributions(task.model, task.features, users, lists)
    found = shapley_contributions(task.model, task.features, users, lists)
    for name, lost in masked.items():
        torch.testing.assert_close(found.values[name].float(), lost, atol=1e-4, rtol=1e-4)
