"""Integrated gradients: how much each token of a recommended item counted for its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import Fusion
from fusionlab.fusion.seen import encoded, imputed
from fusionlab.recommenders.contract import Recommender
from fusionlab.recommenders.step import ItemViews

MOST_STEPS = 1024


@dataclass(frozen=True)
class Attribution:
    """Of P pairs of user and item what each token counted, in units of the score.

    ``tokens[m]`` (P, T): zero for a token that is not there. ``difference`` (P,) is the content
    score less that of the baseline; ``gap`` (P,) what the attributions miss of it.
    """

    tokens: dict[str, Tensor]
    difference: Tensor
    gap: Tensor

    @property
    def modalities(self) -> dict[str, Tensor]:
        """The sums over tokens (P,)."""
        return {name: values.sum(1) for name, values in self.tokens.items()}


def token_attributions(
    recommender: Recommender,
    features: ItemFeatures,
    catalogue: ItemViews,
    users: Tensor,
    items: Tensor,
    *,
    steps: int = 64,
    tolerance: float = 0.01,
) -> Attribution:
    """Integrated gradients of s(u, i) along a straight line from mean tokens to those of item i.

    a_t = sum_d (x_td - b_d) int_0^1 ds/dx_td (b + alpha (x - b)) d alpha, Gauss-Legendre with
    ``steps`` points, with b the mean token of the modality over the catalogue. The user's views
    stay as they are. The sum over all tokens is s(x) - s(b) (completeness); it is checked, and
    where it is missed by more than ``tolerance`` of the largest difference the points are doubled.
    The ID score has no part in it. What an imputer puts in place of a modality that i lacks is no
    token of i: it stays as it is along the line, and counts for nothing. No modality
    is masked, so a model that never saw subsets of its modalities may be asked.

    Args:
        recommender: trained, and it reads content.
        features: of all N items, as it was trained on.
        catalogue: the views of all N items (`catalogue_views`).
        users: (P,) rows.
        items: (P,) the item beside each user.

    Raises:
        FusionlabError: captum is not installed; a recommender that scores something else than the
            product of users with fused views; token ids, which have no gradient; scores that depend
            on the whole list of candidates; completeness missed with 1024 points.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks.
    """
    integrate = _captum()
    fusion = _readable(recommender, features)
    recommender.eval()
    chosen = _vectors(fusion, features.take(items))
    with torch.no_grad():
        seen = imputed(fusion, chosen)
        query = recommender.user_views(users, catalogue)
        asking = recommender.asking(query)
        baseline = {name: _mean_token(fusion, features, name) for name in chosen.modalities}
    names = chosen.modalities

    def score(*given: Tensor) -> Tensor:
        *values, rows = given
        own, some = chosen.mask, seen.take(rows)
        moved = {
            name: torch.where(own[name][rows][..., None], x, some.values[name])
            for name, x in zip(names, values, strict=True)
        }
        fused = fusion.forward(replace(some, values=some.values | moved))
        by_view = (query[rows] * fused.views).sum(-1)[:, None]
        return fusion.combine(by_view, asking[rows], fused.present[:, None])[:, 0]

    rows = torch.arange(len(items), device=items.device)
    _check_pointwise(fusion, catalogue, query, asking, items, score(*chosen.values.values(), rows))
    inputs = tuple(chosen.values.values())
    while True:
        found, gap = integrate(score).attribute(
            inputs,
            tuple(baseline[name].expand_as(x) for name, x in zip(names, inputs, strict=True)),
            additional_forward_args=rows,
            n_steps=steps,
            internal_batch_size=max(len(items), 4096),
            return_convergence_delta=True,
        )
        tokens = _by_token(dict(zip(names, found, strict=True)), chosen)
        total = torch.stack([x.sum(1) for x in tokens.values()]).sum(0)
        gap = gap.detach()
        if gap.abs().max() <= tolerance * (total - gap).abs().max():
            return Attribution(tokens, total - gap, gap)
        if steps >= MOST_STEPS:
            raise FusionlabError(
                f"integrated gradients: attributions miss {float(gap.abs().max()):.2g} of the "
                f"scores with {steps} points; fusion {fusion.name!r} bends too sharply for them, "
                "expected a smoother one"
            )
        steps *= 2


def _captum() -> type:
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise FusionlabError(
            "integrated gradients need the package captum: pip install "
            "'fusionlab-recsys[attribution]'"
        ) from None
    found: type = IntegratedGradients
    return found


def _readable(recommender: Recommender, features: ItemFeatures) -> Fusion:
    if not recommender.uses_content:
        raise FusionlabError(
            f"integrated gradients: recommender {recommender.name!r} reads no item features; "
            "expected one that does, such as 'content' or 'hybrid'"
        )
    if type(recommender).touch_content is not Recommender.touch_content:
        raise FusionlabError(
            f"integrated gradients: recommender {recommender.name!r} scores what it makes of fused "
            "views, by towers or from other items too; expected one that scores the views "
            "themselves, such as 'content' or 'hybrid'"
        )
    if features.vocabulary:
        listed = ", ".join(map(repr, features.vocabulary))
        raise FusionlabError(
            f"integrated gradients: found token ids ({listed}), which have no gradient; expected "
            "vectors"
        )
    assert recommender.fusion is not None
    return recommender.fusion


def _vectors(fusion: Fusion, items: ItemFeatures) -> ItemFeatures:
    """The items as the strategy sees them, behind encoders that are trained with it."""
    with torch.no_grad():
        items = encoded(fusion, items)
    values = {
        name: torch.where(items.mask[name][..., None], x, 0).float()
        for name, x in items.values.items()
    }
    return replace(items, values=values)


def _mean_token(fusion: Fusion, features: ItemFeatures, name: str) -> Tensor:
    """(d,), over at most 4096 items."""
    some = _vectors(fusion, features.part(0, min(len(features), 4096)))
    mask = some.mask[name]
    return some.values[name].sum((0, 1)) / mask.sum().clamp(min=1)


def _by_token(found: Mapping[str, Tensor], items: ItemFeatures) -> dict[str, Tensor]:
    return {name: torch.where(items.mask[name], x.detach().sum(2), 0) for name, x in found.items()}


def _check_pointwise(
    fusion: Fusion,
    catalogue: ItemViews,
    query: Tensor,
    asking: Tensor,
    items: Tensor,
    alone: Tensor,
) -> None:
    """An item's score must not depend on the items beside it."""
    with torch.no_grad():
        by_view = torch.einsum("bkd,nkd->bnk", query, catalogue.views)
        present = catalogue.present.expand(by_view.shape)
        among = fusion.combine(by_view, asking, present).gather(1, items[:, None])[:, 0]
    if not torch.allclose(alone, among, rtol=1e-3, atol=1e-4 * float(among.abs().max())):
        raise FusionlabError(
            f"integrated gradients: a score of fusion {fusion.name!r} depends on the whole list of "
            "candidates; expected one of an item alone"
        )
