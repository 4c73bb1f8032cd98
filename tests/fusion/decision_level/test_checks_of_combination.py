"""The checks of `combine` catch strategies that break the contract, one fault at a time."""

import pytest
import torch

from fusionlab.fusion.checks import CHECKS, Subject
from fusionlab.fusion.contract import FusedItems, Fusion, Level
from fusionlab.fusion.layers import Projections


class Broken(Fusion):
    level = Level.DECISION
    additive = False
    symmetric = True

    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)

    def forward(self, items):
        return FusedItems(*self.project.pooled(items))

    def view_weights(self, scores, query, present):
        return present / present.sum(-1, keepdim=True).clamp(min=1)


class CentresOverTheBlockOfUsers(Broken):
    def combine(self, scores, query, present):
        return (scores - scores.mean(0)).sum(-1)


class ReadsTheRowNumber(Broken):
    def combine(self, scores, query, present):
        return scores.sum(-1) * torch.arange(scores.shape[-2])


class WeighsByPosition(Broken):
    def combine(self, scores, query, present):
        return (scores * torch.arange(scores.shape[-1])).sum(-1)


class DividesByTheLengthOfTheQuery(Broken):
    def combine(self, scores, query, present):
        return scores.sum(-1) / query.norm(dim=(-2, -1))[..., None]


class Exponentiates(Broken):
    def combine(self, scores, query, present):
        return scores.exp().sum(-1)


class MultipliesScores(Broken):
    additive = True

    def combine(self, scores, query, present):
        return scores.prod(-1)


class WeighsByTheList(Broken):
    """Each modality's scores count by how far all modalities' scores spread over the list."""

    additive = True

    def view_weights(self, scores, query, present):
        return scores.std(-2, keepdim=True).softmax(-1).expand(scores.shape)


class WeighsByTheQuery(Broken):
    """Given a user this is a sum; where the item is the query it is not."""

    additive = True

    def view_weights(self, scores, query, present):
        return query.sum(-1).softmax(-1)[..., None, :].expand(scores.shape)


class HidesThatItIsASum(Broken):
    pass


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (CentresOverTheBlockOfUsers, "users_are_independent"),
        (ReadsTheRowNumber, "candidates_move"),
        (WeighsByPosition, "order_of_modalities"),
        (DividesByTheLengthOfTheQuery, "extremes_are_finite"),
        (Exponentiates, "extremes_are_finite"),
        (MultipliesScores, "additive_is_true"),
        (WeighsByTheList, "additive_is_true"),
        (WeighsByTheQuery, "additive_is_true"),
        (HidesThatItIsASum, "additive_is_true"),
    ],
)
def test_checks_catch_a_broken_combination(cls, check):
    class Part:
        @staticmethod
        def build(specs, dim):
            return cls(specs, dim)

    with pytest.raises(AssertionError):
        CHECKS[check](Subject(Part(), 3))
