"""How much each modality counted for a recommended item: what its score loses without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import NOTHING, block_of
from fusionlab.evaluation.shapley import Coalition, Shapley, shapley
from fusionlab.recommenders.contract import Recommender
from fusionlab.training.items import catalogue_ranker


@torch.no_grad()
def contributions(
    recommender: Recommender, features: ItemFeatures, users: Tensor, lists: Tensor
) -> dict[str, Tensor]:
    """c_m(u, i) = s(u, i) - s(u, i | modality m masked in the whole catalogue), (U, k) each.

    Masking works for any fusion, but what a strategy says of a subset of its modalities is worth
    something only if training has shown it subsets: train with ``training.modality_dropout``.
    Contributions do not add up to the score. In units of the score, which differ between
    recommenders.

    Args:
        recommender: trained, and it reads content.
        features: of all N items, as it was trained on.
        users: (U,) rows.
        lists: (U, k) items, as of `top_k`; where -1 stands contributions are 0.
    """
    _check(recommender)
    recommender.eval()
    return lost_without(
        features.modalities,
        lambda coalition: _scores(recommender, features.only(coalition), users, lists),
        lists,
    )


def lost_without(
    modalities: Sequence[str], game: Callable[[Coalition], Tensor], lists: Tensor
) -> dict[str, Tensor]:
    """s(all) - s(all but m) of each modality m, (U, k); 0 where a list has ended.

    ``game`` scores the listed items (U, k) with all modalities outside a coalition masked.
    """
    names = frozenset(modalities)
    whole = game(names)
    lost = {name: whole - game(names - {name}) for name in modalities}
    return {name: torch.where(lists == NOTHING, 0, one) for name, one in lost.items()}


@torch.no_grad()
def shapley_contributions(
    recommender: Recommender, features: ItemFeatures, users: Tensor, lists: Tensor
) -> Shapley:
    """The Shapley value of each modality for the score of each listed item, (U, k) each.

    v(S) is the score s(u, i) with all modalities outside S masked in the whole catalogue, so
    values add up: s(u, i) = v({}) + sum_m phi_m(u, i), and v({}) is what ID factors alone say. What
    `contributions` says of masking holds here too. Up to 6 modalities take 2^M catalogues, more
    are sampled. Arguments are those of `contributions`.
    """
    _check(recommender)
    recommender.eval()

    def game(coalition: Coalition) -> Tensor:
        found = _scores(recommender, features.only(coalition), users, lists)
        return torch.where(lists == NOTHING, 0, found)

    return shapley(features.modalities, game)


def _check(recommender: Recommender) -> None:
    if not (recommender.uses_content or recommender.reads_features):
        raise FusionlabError(
            f"recommender {recommender.name!r} reads no item features: no modality counts in it"
        )


def _scores(
    recommender: Recommender, features: ItemFeatures, users: Tensor, lists: Tensor
) -> Tensor:
    """Scores (U, k) of the listed items, on the CPU."""
    ranker = catalogue_ranker(recommender, features)
    device = next(iter(features.mask.values())).device
    size = block_of(recommender.n_items)
    blocks = [
        ranker(some.to(device)).gather(1, items.clamp(min=0).to(device)).cpu()
        for some, items in zip(users.split(size), lists.split(size), strict=True)
    ]
    return torch.cat(blocks)
