"""Metrics of lists apart for what training knew and what it did not: items, and users."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.metrics import LIST_METRICS, list_metrics

ON_COLD, ON_WARM = "on cold items", "on warm items"
OF_COLD, OF_WARM = "of cold users", "of warm users"
GROUPS = (ON_COLD, ON_WARM, OF_COLD, OF_WARM)
"""What stands behind a metric's name. Cold is who has no train click."""


def groups_of(train: Clicks, relevant: Clicks) -> tuple[str, ...]:
    """The groups that the positives ``relevant`` are judged in: those of items if some positives
    are on cold items and some on warm ones, those of users likewise."""
    cold_items = train.popularity[relevant.items] == 0
    cold_users = train.counts[relevant.counts > 0] == 0
    found: tuple[str, ...] = ()
    for cold, names in ((cold_items, (ON_COLD, ON_WARM)), (cold_users, (OF_COLD, OF_WARM))):
        if cold.any() and not cold.all():
            found += names
    return found


def cold_and_warm(
    metrics: Sequence[str],
    cutoffs: Sequence[int],
    shown: Tensor,
    hits: Tensor,
    relevant: Clicks,
    train: Clicks,
    units: Tensor,
    whole: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Each metric of a list in each group of `groups_of`: ``recall@20 on cold items`` and so on.

    On cold items: the same lists, but only items without a train click count, as hits and among the
    positives; warm ones stay in the list, where they take places. Of cold users: the metric itself.

    Args:
        metrics: names, of which those of lists count.
        cutoffs: lengths K of the lists.
        shown: items (n, K) of the units' lists.
        hits: (n, K), as of `hits_of`.
        relevant: positives.
        train: clicks that training knew.
        units: (n,) users.
        whole: the metrics (n,) of all positives.

    Returns:
        by name (n,) float64, NaN for users whom the group does not judge: those who have none of
        its positives, or who are not in it.
    """
    found: dict[str, Tensor] = {}
    names = [f"{name}@{k}" for name in metrics if name in LIST_METRICS for k in cutoffs]
    groups = groups_of(train, relevant)
    cold_items, cold_users = train.popularity == 0, train.counts[units] == 0
    for group, counted in ((ON_COLD, cold_items), (ON_WARM, ~cold_items)):
        if group in groups:
            kept = counted[relevant.items]
            positives = torch.bincount(relevant.users[kept], minlength=relevant.n_users)[units]
            rows = positives.nonzero()[:, 0]
            of_group = hits[rows] * counted[shown[rows]]  # where a list has ended there is no hit
            values = list_metrics(metrics, cutoffs, of_group, positives[rows])
            found |= {f"{name} {group}": _at(rows, values[name], len(units)) for name in names}
    for group, counted in ((OF_COLD, cold_users), (OF_WARM, ~cold_users)):
        if group in groups:
            rows = counted.nonzero()[:, 0]
            found |= {f"{name} {group}": _at(rows, whole[name][rows], len(units)) for name in names}
    return found


def _at(rows: Tensor, values: Tensor, n: int) -> Tensor:
    return torch.full((n,), torch.nan, dtype=torch.float64).index_copy(0, rows, values)
