"""user_gate: weights softmax(a_m . tanh(sum_j V_j q_j + c)) over the modalities the item has."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from decision_reference import MODALITIES, assert_combines, case, softmax

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities):
    def formula(state, query, scores):
        hidden = np.tanh(sum(state[f"read.{m}.weight"] @ query[m] for m in query) + state["bias"])
        weights = [softmax({m: state[f"vote.{m}"] @ hidden for m in s}) for s in scores]
        return [sum(w[m] * s[m] for m in s) for w, s in zip(weights, scores, strict=True)]

    assert_combines("user_gate", modalities, formula)


@torch.no_grad()
def test_the_first_scores_are_nearly_the_mean():
    """Votes start near zero but not at it, where the gate would have no gradient."""
    torch.manual_seed(0)
    specs = {name: FeatureSpec(4) for name in ("a", "b", "c")}
    fusion, scores = FUSIONS.parse("user_gate").build(specs, 64), torch.randn(20, 30, 3)
    query, present = torch.randn(20, 3, 64), torch.ones(20, 30, 3, dtype=torch.bool)
    weights = fusion.view_weights(scores, query, present)
    assert torch.allclose(weights, torch.full_like(weights, 1 / 3), atol=0.1)
    assert 0.1 < weights.std() / 0.01 < 5


def test_a_user_without_views_gets_finite_weights_and_gradients():
    found = case("user_gate", 3)
    query = torch.zeros_like(found.query).requires_grad_()
    scores = found.given.clone().requires_grad_()
    found.fusion.combine(scores, query, found.present).square().sum().backward()
    given = [query.grad, scores.grad, *(p.grad for p in found.fusion.vote.values())]
    assert all(grad.isfinite().all() for grad in given)
    assert query.grad.any()


def test_nothing_folds_beyond_one_modality():
    present = torch.ones(4, 2, dtype=torch.bool)
    assert case("user_gate", 2).fusion.fold(present) is None
    assert case("user_gate", 1).fusion.fold(present[:, :1]) is not None


def trained_accuracy(name):
    """Items carry one sign in text, another in image; a user likes by the one or by the other.

    Who goes by which shows in the user's views alone, in a coordinate that no item uses.
    """
    draw = torch.Generator().manual_seed(0)
    text, image = torch.randint(2, (2, 400), generator=draw) * 2.0 - 1
    by_text = torch.rand(400, generator=draw) < 0.5
    torch.manual_seed(0)
    fusion = FUSIONS.parse(name).build({"text": FeatureSpec(1), "image": FeatureSpec(1)}, 4)
    items = ItemFeatures(
        {"text": text[:, None, None], "image": image[:, None, None]},
        {m: torch.ones(400, 1, dtype=torch.bool) for m in ("text", "image")},
    )
    query = torch.ones(400, 2, 4)
    query[..., 3] = torch.where(by_text, 1.0, -1.0)[:, None]
    liked = torch.where(by_text, text, image) > 0
    optimizer = torch.optim.Adam(fusion.parameters(), lr=0.05)
    for _ in range(150):
        fused = fusion(items)
        views = fused.views * torch.tensor([1.0, 1, 1, 0])
        scores = torch.einsum("bkd,bkd->bk", query, views)[:, None]
        combined = fusion.combine(scores, query, fused.present[:, None])[:, 0]
        loss = F.binary_cross_entropy_with_logits(combined, liked.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ((combined > 0) == liked).float().mean()


def test_learns_whom_to_judge_by_which_modality():
    assert trained_accuracy("user_gate") > 0.98
    assert trained_accuracy("weighted_scores") < 0.9
