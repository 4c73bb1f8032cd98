"""Full-ranking evaluation in situations: what is judged is a user in a situation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.ranking import clicks_of
from fusionlab.evaluation.result import Evaluation

Situated = Callable[[Tensor, Tensor], Tensor]
"""Users (b,) in situations (b, n) to scores (b, N), a buffer that its receiver may overwrite."""


def evaluate_situations(
    scores: Situated,
    exclude: Clicks,
    relevant: Mapping[str, Clicks],
    *,
    metrics: Sequence[str],
    cutoffs: Sequence[int],
    block: int | None = None,
    device: torch.device | str = "cpu",
    cold: bool = False,
) -> dict[str, Evaluation]:
    """Rank all N items for each user in each situation, and give each user the mean of them.

    A list is judged for every pair of a user and a situation in which a split has a click of the
    user: its positives are the clicks of that pair, its candidates all items but what the user has
    in ``exclude``, in whatever situation. A user's figure is the mean over the user's lists, so the
    users stay the units of a significance test, each counting once. Catalogue figures are of all
    lists.

    Args:
        scores: users (b,) and situations (b, n) to scores (b, N).
        exclude: items that are never recommended, as a rule the train clicks.
        relevant: split name to the positives with their ``context`` (E, n).
        metrics, cutoffs, block, device, cold: as of `evaluate`.

    Returns:
        an `Evaluation` a split: units are users.
    """
    pairs = {split: _pairs(clicks) for split, clicks in relevant.items()}
    lists, place = torch.cat([*pairs.values()]).unique(dim=0, return_inverse=True)
    users, situations = lists[:, 0], lists[:, 1:]
    places = dict(zip(relevant, place.split([len(p) for p in pairs.values()]), strict=True))
    positives = {
        split: _by_list(places[split], clicks.items, len(lists), clicks.n_items)
        for split, clicks in relevant.items()
    }
    seen = _by_list(*clicks_of(exclude, users), len(lists), exclude.n_items)
    seen = _Seen(seen.indptr, seen.items, seen.n_items, of_users=exclude)
    at, told = users.to(device), situations.to(device)
    found = evaluate(
        lambda rows: scores(at[rows], told[rows]),
        seen,
        positives,
        metrics=metrics,
        cutoffs=cutoffs,
        block=block,
        device=device,
        cold=cold,
        people=at,
    )
    return {split: _by_user(one, users) for split, one in found.items()}


@dataclass(frozen=True)
class _Seen(Clicks):
    """What the user of each list has clicked; an item is as popular as it is ``of_users``."""

    of_users: Clicks | None = None

    @cached_property
    def popularity(self) -> Tensor:
        assert self.of_users is not None
        return self.of_users.popularity


def _pairs(clicks: Clicks) -> Tensor:
    """(E, 1 + n): the user and the situation of each click."""
    assert clicks.context is not None
    return torch.cat([clicks.users[:, None], clicks.context], 1)


def _by_list(rows: Tensor, items: Tensor, n_lists: int, n_items: int) -> Clicks:
    return Clicks.from_pairs(rows.numpy(), items.numpy(), n_lists, n_items)


def _by_user(found: Evaluation, users: Tensor) -> Evaluation:
    """Means over the lists of each user that have the figure; NumPy adds up in their order."""
    units, place = users[found.units].unique(return_inverse=True)

    def mean(values: Tensor) -> Tensor:
        there = ~values.isnan()
        rows = place[there].numpy()
        total = np.bincount(rows, values[there].numpy(), len(units))
        counts = np.bincount(rows, minlength=len(units))
        return torch.from_numpy(np.where(counts > 0, total / np.maximum(counts, 1), np.nan))

    means, some = (
        {name: mean(values) for name, values in figures.items()}
        for figures in (found.per_unit, found.of_some)
    )
    lists = np.bincount(place.numpy(), ~found.tied.numpy(), len(units))  # that are not drawn
    return Evaluation(units, means, found.overall, some, torch.from_numpy(lists == 0))
