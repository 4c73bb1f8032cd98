"""Ranking metrics. Adding one is writing one function and entering it in one of three tables.

U users, K the longest cutoff, N items. A list may be shorter than K (the user had too few
candidates): the missing places are no hits, and they show no item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.ranking import NOTHING, Block, clicks_of

ListMetric = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``hits`` (U, K) float64, 1 where the item at that rank is relevant, ``positives`` (U, 1) float64,
how many relevant items the user has, and ``cutoffs`` (C,) int64 to (U, C): the metric at each."""

CatalogueMetric = Callable[[Tensor, Tensor], float]
"""``exposure`` (N,) float64, in how many lists an item stands, and ``clicks`` (N,) float64, its
clicks among the excluded (train) ones, to one figure."""

AUC_ROWS, CLICKS_AT_ONCE = 64, 4096

FullMetric = Callable[[Block, Tensor, Tensor], Tensor]
"""A block of b users' scores and its positives, ``rows`` (P,) of the block and ``items`` (P,), to
(b,) float64. It needs every score, so it is computed only where asked for."""


def _ranks(hits: Tensor) -> Tensor:
    return torch.arange(1, hits.shape[1] + 1, dtype=hits.dtype)


def _at(by_rank: Tensor, cutoffs: Tensor) -> Tensor:
    """(U, K), a value a rank, to (U, C)."""
    return by_rank[:, cutoffs - 1]


def recall(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """Hits in the first K / positives."""
    return _at(hits.cumsum(1), cutoffs) / positives


def precision(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """Hits in the first K / K, also where the list is shorter than K."""
    return _at(hits.cumsum(1), cutoffs) / cutoffs


def f1(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """Harmonic mean of the user's precision and recall: 2 hits / (K + positives); 0 without a hit.

    It is averaged over users; the harmonic mean of the two averages is another figure.
    """
    return 2 * _at(hits.cumsum(1), cutoffs) / (cutoffs + positives)


def ndcg(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """DCG / ideal DCG, gain 1 for a hit, discount log2(rank + 1) (Järvelin and Kekäläinen, 2002).

    The ideal list has min(positives, K) hits at its top.
    """
    discounts = 1 / torch.log2(_ranks(hits) + 1)
    ideal = discounts.cumsum(0)
    reached = torch.minimum(positives, cutoffs).long() - 1
    return _at((hits * discounts).cumsum(1), cutoffs) / ideal[reached]


def mrr(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """1 / rank of the first hit, 0 where there is none in the first K (Voorhees, 1999)."""
    return _at((hits / _ranks(hits)).cummax(1).values, cutoffs)


def map_(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """Sum over hits of the precision at their rank / min(positives, K).

    ranx and TREC divide by all positives instead, so a perfect list shorter than the positives
    scores below 1 there; torchmetrics divides by the hits found.
    """
    summed = (hits * (hits.cumsum(1) / _ranks(hits))).cumsum(1)
    return _at(summed, cutoffs) / torch.minimum(positives, cutoffs)


def hit_rate(hits: Tensor, positives: Tensor, cutoffs: Tensor) -> Tensor:
    """1 where the first K hold at least one hit."""
    return _at(hits.cummax(1).values, cutoffs)


def coverage(exposure: Tensor, clicks: Tensor) -> float:
    """Share of the N items that stand in at least one list."""
    return float((exposure > 0).double().sum() / len(exposure))


def gini(exposure: Tensor, clicks: Tensor) -> float:
    """Gini index of exposure over the N items: 0 all alike, (N - 1)/N one item in every list.

    With exposures x sorted upwards: sum_i (2 i - N - 1) x_i / (N sum_i x_i), i = 1..N (Fleder and
    Hosanagar, 2009). 0 where nothing is shown at all.
    """
    n = len(exposure)
    weights = 2 * torch.arange(1, n + 1, dtype=exposure.dtype) - n - 1
    total = exposure.sum()
    return float((weights * exposure.sort().values).sum() / (n * total)) if total > 0 else 0.0


def novelty(exposure: Tensor, clicks: Tensor) -> float:
    """Mean self-information of what is shown, in bits: -log2((clicks_i + 1) / (all clicks + N)).

    Zhou et al. (2010), as a probability of a click (Vargas and Castells, 2011); the added one a
    item (Laplace) keeps items that nobody clicked finite. 0 where nothing is shown at all.
    """
    bits = -torch.log2((clicks + 1) / (clicks.sum() + len(clicks)))
    total = exposure.sum()
    return float((exposure * bits).sum() / total) if total > 0 else 0.0


def _count(compare: Callable[..., Tensor], scores: Tensor, threshold: Tensor) -> Tensor:
    """In how many columns of each row the comparison holds, (b,) float64.

    Written and summed as floats, which is several times faster than summing bool and exact below
    2^24 columns.
    """
    holds = torch.empty_like(scores, dtype=torch.float32)
    return compare(scores, threshold, out=holds).sum(1).double()


def auc(block: Block, rows: Tensor, items: Tensor) -> Tensor:
    """Share of (positive, negative) pairs of candidates that are ordered right; a tie counts half.

    The candidates are the items whose score is not -inf. A positive that is no candidate (it is
    excluded) loses all its pairs. A user without negatives has no pair and gets 1/2.

    Counts all candidates below a positive, then takes off those that are positives themselves:
    among P positives the pairs, each with itself included, always sum to P^2 / 2.
    """
    scores, n_items = block.scores, block.scores.shape[1]
    own = scores[rows, items]
    won = torch.zeros(len(rows), dtype=torch.float64, device=scores.device)
    absent = _count(torch.eq, scores, scores.new_full((len(scores), 1), -torch.inf))
    for start in range(0, len(rows), AUC_ROWS):
        part = slice(start, start + AUC_ROWS)
        others, threshold = scores[rows[part]], own[part, None]
        below = _count(torch.lt, others, threshold) - absent[rows[part]]
        won[part] = below + _count(torch.eq, others, threshold) / 2
    ranked = own > -torch.inf
    won = torch.where(ranked, won, 0.0)
    zeros = torch.zeros(len(scores), dtype=torch.float64, device=scores.device)
    positives = zeros.index_add(0, rows, torch.ones_like(won))
    candidates = zeros.index_add(0, rows, ranked.double())
    pairs = positives * (n_items - absent - candidates)
    right = zeros.index_add(0, rows, won) - candidates.square() / 2
    return torch.where(pairs > 0, right / pairs, 0.5)


LIST_METRICS: dict[str, ListMetric] = {
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": map_,
    "hit_rate": hit_rate,
}
CATALOGUE_METRICS: dict[str, CatalogueMetric] = {
    "coverage": coverage,
    "gini": gini,
    "novelty": novelty,
}
FULL_METRICS: dict[str, FullMetric] = {"auc": auc}
DEFAULT_METRICS = (*LIST_METRICS, *CATALOGUE_METRICS)


def check_names(metrics: Sequence[str], cutoffs: Sequence[int]) -> None:
    """Raise `FusionlabError` for an unknown metric or a cutoff that is no positive integer."""
    known = [*LIST_METRICS, *CATALOGUE_METRICS, *FULL_METRICS]
    for name in metrics:
        if name not in known:
            raise FusionlabError(f"metrics: {one_of(name, known)}")
    for cutoff in cutoffs:
        if cutoff < 1:
            raise FusionlabError(f"cutoffs: found {cutoff!r}, expected integers of at least 1")
    if not cutoffs and any(name not in FULL_METRICS for name in metrics):
        raise FusionlabError("cutoffs: found none, expected at least one, such as 20")


def hits_of(items: Tensor, relevant: Clicks, users: Tensor) -> Tensor:
    """(U, K) float64: 1 where ``items`` (U, K) are among the user's ``relevant`` ones."""
    if int(relevant.counts[users].sum()) <= items.numel():
        return _hits_by_click(items, *clicks_of(relevant, users))
    keys = relevant.users * relevant.n_items + relevant.by_item
    wanted = users[:, None] * relevant.n_items + items
    found = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    return ((keys[found] == wanted) & (items != NOTHING)).double()


def _hits_by_click(items: Tensor, rows: Tensor, wanted: Tensor) -> Tensor:
    """The same, from clicks (P,): look for each in its row's list. Fast where clicks are few.

    NumPy, because what is compared is small and almost nothing is equal.
    """
    lists, k = items.numpy(), items.shape[1]
    hits = torch.zeros(items.shape, dtype=torch.float64)
    for row, item in zip(rows.split(CLICKS_AT_ONCE), wanted.split(CLICKS_AT_ONCE), strict=True):
        at = row.numpy()
        equal = np.flatnonzero(lists[at] == item.numpy()[:, None])
        hits.numpy()[at[equal // k], equal % k] = 1
    return hits


def list_metrics(
    metrics: Sequence[str], cutoffs: Sequence[int], hits: Tensor, positives: Tensor
) -> dict[str, Tensor]:
    """``name@K`` to (U,) float64, from hits (U, K) and the number of positives (U,)."""
    lengths = torch.tensor(cutoffs, dtype=torch.int64)
    counts = positives.double()[:, None]
    values: dict[str, Tensor] = {}
    for name in metrics:
        if name in LIST_METRICS:
            at_cutoffs = LIST_METRICS[name](hits, counts, lengths).T.contiguous()
            values |= {f"{name}@{k}": row for k, row in zip(cutoffs, at_cutoffs, strict=True)}
    return values


def catalogue_metrics(
    metrics: Sequence[str], cutoffs: Sequence[int], items: Tensor, clicks: Tensor
) -> dict[str, float]:
    """``name@K`` to a figure of all lists, from items (U, K) and clicks by item (N,)."""
    wanted = [name for name in metrics if name in CATALOGUE_METRICS]
    values: dict[str, float] = {}
    for cutoff in cutoffs if wanted else ():
        places = items[:, :cutoff].flatten() - NOTHING
        exposure = torch.bincount(places, minlength=len(clicks) + 1)[1:].double()
        values |= {f"{n}@{cutoff}": CATALOGUE_METRICS[n](exposure, clicks.double()) for n in wanted}
    return values
