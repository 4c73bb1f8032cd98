"""Checks of `Fusion.combine` and of the weights behind it: scores by view in, one score out."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.fusion.checks.subject import B, D, Subject, assert_close
from fusionlab.fusion.contract import FusedItems, Fusion, Level


def order_of_modalities(subject: Subject) -> None:
    """A strategy that calls itself symmetric gives the same views and scores in any order.

    Parameters are kept by name, so the state of one order is loaded into the other.
    """
    fusion, _, query, scores, present = _scored(subject)
    if not fusion.symmetric:
        return
    turned = subject.unfitted(dict(reversed(subject.specs.items())))
    turned.load_state_dict(fusion.state_dict())
    views, other = fusion(subject.items()).views, turned(subject.items()).views
    other = other.flip(1) if fusion.level is Level.DECISION else other
    assert_close(views, other, subject.dtype, "the order of the modalities changes the views")
    if fusion.level is not Level.DECISION:
        return
    combined = fusion.combine(scores, query, present)
    other = turned.combine(scores.flip(-1), query.flip(-2), present.flip(-1))
    assert_close(combined, other, subject.dtype, "the order changes the combined scores")


def weights_are_shares(subject: Subject) -> None:
    """View weights are zero where absent and sum to one over the views that are present."""
    fusion, _, query, scores, present = _scored(subject)
    weights = fusion.view_weights(scores, query, present)
    assert weights.shape == scores.shape, f"weights are {tuple(weights.shape)}"
    assert (weights[~present] == 0).all(), "an absent view has a weight"
    assert_close(
        weights.double().sum(-1), present.any(-1), subject.dtype, "weights do not sum to 1"
    )
    assert fusion.combine(scores, query, present).shape == scores.shape[:-1]


def by_query_is_true(subject: Subject) -> None:
    """View weights depend on the query if, and only if, the strategy says so (``by_query``).

    Its parameters are drawn at random: a gate may start out as one that looks at nothing.
    """
    fusion, _, query, scores, present = _scored(subject)
    if fusion.n_views == 1:
        return
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) / 4)
    one, other = (fusion.view_weights(scores, q, present) for q in (query, query.flip(0)))
    if torch.equal(one, other) == fusion.by_query:
        found = "do not depend" if fusion.by_query else "depend"
        raise AssertionError(f"by_query is {fusion.by_query}, but view weights {found} on it")


def folded_is_combined(subject: Subject) -> None:
    """Weights folded into the item views give the combined scores.

    They are multiplied in float32, as for full ranking (`fuse_catalogue`): what differs is the
    rounding of the combination alone.
    """
    fusion, fused, query, scores, present = _scored(subject)
    weights = fusion.fold(fused.present)
    if weights is None:
        return
    folded = query.float().flatten(1) @ (fused.views.float() * weights[..., None]).flatten(1).T
    combined = fusion.combine(scores, query, present)
    assert_close(combined, folded, subject.dtype, "folded weights give other scores")


def users_are_independent(subject: Subject) -> None:
    """A user's scores may depend on the list of candidates, but not on who is scored beside."""
    fusion, _, query, scores, present = _scored(subject)
    rows = torch.tensor([3, 1])
    whole = fusion.combine(scores, query, present)[rows]
    part = fusion.combine(scores[rows], query[rows], present[rows])
    assert_close(part, whole, subject.dtype, "scores depend on the block of users")


def candidates_move(subject: Subject) -> None:
    """Permuting the candidates permutes their scores (where no two are equal).

    A view's scores are moved apart by their ranks, since bfloat16 makes some of them equal.
    """
    fusion, _, query, scores, present = _scored(subject)
    scores = scores + scores.argsort(-2).argsort(-2)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(4))
    whole = fusion.combine(scores, query, present)[:, order]
    moved = fusion.combine(scores[:, order], query, present[:, order])
    assert_close(moved, whole, subject.dtype, "scores depend on the order of the candidates")


def extremes_are_finite(subject: Subject) -> None:
    """Zero and huge scores, and a zero query, give finite scores, shares and gradients."""
    fusion, _, query, scores, present = _scored(subject)
    for scale in (0.0, 1e4):
        s, q = (scores * scale).requires_grad_(), (query * scale).requires_grad_()
        combined = fusion.combine(s, q, present)
        assert combined.isfinite().all(), f"scores scaled by {scale:g} combine to no finite number"
        shares = fusion.view_weights(s, q, present).double().sum(-1)
        problem = f"with scores scaled by {scale:g} the weights do not sum to 1"
        assert_close(shares, present.any(-1), subject.dtype, problem)
        if combined.requires_grad:
            combined.square().sum().backward()
            for given in (s, q):
                assert given.grad is None or given.grad.isfinite().all(), "a gradient is not finite"


def _scored(subject: Subject) -> tuple[Fusion, FusedItems, Tensor, Tensor, Tensor]:
    """A strategy, its items, and five users' scores by view."""
    fusion = subject.build()
    with torch.no_grad():
        fused = fusion(subject.items())
    draw = torch.Generator().manual_seed(2)
    query = torch.randn(5, fusion.n_views, D, generator=draw).to(subject.dtype)
    scores = torch.einsum("bkd,nkd->bnk", query, fused.views)
    return fusion, fused, query, scores, fused.present.expand(scores.shape)
