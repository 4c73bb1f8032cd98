"""mean_scores: the mean of s_m over the modalities that the item has."""

import pytest
import torch
from decision_reference import MODALITIES, assert_combines
from small_world import D, pair_task, train

from fusionlab.errors import ConfigError
from fusionlab.fusion.contract import FUSIONS, Objective


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("objective", ["fused", "views"])
def test_equals_the_formula(modalities, objective):
    def formula(state, query, scores):
        return [sum(s.values()) / max(len(s), 1) for s in scores]

    assert_combines({"name": "mean_scores", "objective": objective}, modalities, formula)


def test_objective_is_an_option_of_the_instance(features):
    fused, views = (
        FUSIONS.parse({"name": "mean_scores", "objective": value}).build(features.specs, D)
        for value in ("fused", "views")
    )
    assert (fused.objective, views.objective) == (Objective.FUSED, Objective.VIEWS)
    with pytest.raises(ConfigError, match="did you mean 'views'"):
        FUSIONS.parse({"name": "mean_scores", "objective": "view"})


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
def test_an_ensemble_is_unimodal_models_trained_apart(clicks, features, recommender):
    """Every parameter of the ensemble ends where it ends in a model of its modality alone."""
    part = {"name": "mean_scores", "objective": "views"}
    together = pair_task(recommender, part, clicks, features)
    start = {name: x.clone() for name, x in together.model.state_dict().items()}
    train(together)
    for column, name in enumerate(features.specs):
        alone = pair_task(
            recommender, part, clicks, features.without_columns(others(features, name))
        )
        alone.model.load_state_dict(
            {key: own(key, start[key], column) for key in alone.model.state_dict()}
        )
        train(alone)
        for key, found in alone.model.state_dict().items():
            expected = own(key, together.model.state_dict()[key], column)
            assert not torch.equal(found, own(key, start[key], column)), key
            assert torch.allclose(found, expected, atol=1e-6), key


def others(features, name):
    return [other for other in features.specs if other != name]


def own(key, tensor, column):
    """A modality's part of a tensor of the ensemble: its block of the users' tastes, else all."""
    return tensor[:, column * D : (column + 1) * D] if "tastes" in key else tensor


def test_the_fused_objective_couples_the_modalities(clicks, features):
    """The same comparison fails where the loss sees the mean, so it is not vacuous."""
    states = []
    for objective in ("fused", "views"):
        part = {"name": "mean_scores", "objective": objective}
        task = pair_task("content", part, clicks, features)
        train(task)
        states.append(task.model.state_dict()["fusion.project.text.weight"])
    assert not torch.allclose(*states, atol=1e-3)
