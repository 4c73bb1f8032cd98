"""Why an item stands in a list: what each modality and each view of the strategy counts in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.shapley import Coalition
from fusionlab.fusion.contract import Fusion
from fusionlab.serving.contributions import lost_without
from fusionlab.serving.lists import Recommended
from fusionlab.serving.people import Asked
from fusionlab.serving.scoring import Scoring
from fusionlab.studies.record import UNTRAINED


def explained(
    lists: Sequence[Recommended],
    scoring: Scoring,
    asked: Asked,
    rows: Tensor,
    coalition_training: str,
    *,
    untrained_coalitions: bool,
    without: Collection[str] = (),
) -> list[Recommended]:
    """The same lists with contributions and view weights; ``rows`` (U, k) are their items.

    Modalities ``without`` are masked everywhere; what is said is of the others.

    Contributions are left out, and the list says so, where training has not shown the model subsets
    of its modalities, unless ``untrained_coalitions``.
    """
    if scoring.ranker.items is None:
        raise FusionlabError(
            f"--explain: recommender {scoring.model.name!r} fuses no modalities, so none has a "
            "share in a score; expected one that does, such as 'content' or 'hybrid'"
        )
    hidden = coalition_training == UNTRAINED and not untrained_coalitions
    lost = {} if hidden else _contributions(scoring, asked, rows, without)
    weights = _view_weights(scoring, asked, rows, without)
    return [
        replace(
            one,
            hidden=hidden,
            items=[
                replace(
                    item,
                    contributions={m: float(x[user, place]) for m, x in lost.items()},
                    view_weights={v: float(x[user, place]) for v, x in weights.items()},
                )
                for place, item in enumerate(one.items)
            ],
        )
        for user, one in enumerate(lists)
    ]


def _contributions(
    scoring: Scoring, asked: Asked, rows: Tensor, without: Collection[str]
) -> dict[str, Tensor]:
    """What the scores lose without each modality (U, k)."""
    every = set(scoring.modalities)
    names = [name for name in scoring.modalities if name not in without]

    def game(coalition: Coalition) -> Tensor:
        return scoring.scores_at(asked, rows, every - coalition)

    return lost_without(names, game, rows)


def _view_weights(
    scoring: Scoring, asked: Asked, rows: Tensor, without: Collection[str]
) -> dict[str, Tensor]:
    """The strategy's own weights by view (U, k); empty where there is one view only."""
    fusion, items = scoring.model.fusion, scoring.ranker_without(without).items
    if not isinstance(fusion, Fusion) or fusion.n_views == 1 or items is None:
        return {}
    queries, found = scoring.queries(asked, without), []
    for place, listed in enumerate(rows):
        query, _ = queries(torch.tensor([place], device=scoring.device))
        assert query is not None
        scores = torch.einsum("bkd,nkd->bnk", query, items.views)
        present = items.present.expand(scores.shape)
        asking = scoring.asking(query, asked)
        weights = fusion.view_weights(scores, asking, present)[0].cpu()
        found.append(weights[listed.clamp(min=0)])
    return dict(zip(fusion.view_names, torch.stack(found).unbind(-1), strict=True))
