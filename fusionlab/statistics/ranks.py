"""Do methods differ over several data sets? Ranks, Friedman's test and critical differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import TIE, Floats, Values

DRAWS = 10_000


@dataclass(frozen=True, eq=False)
class Friedman:
    """Friedman's test over N data sets and k methods, with Nemenyi's comparisons of all pairs.

    ``ranks`` (k,) are mean ranks over the data sets, 1 for the best. ``statistic`` is Friedman's
    chi square with its ``p`` from random permutations and ``p_chi2`` from the chi-square
    distribution. ``pairs`` (k, k) holds Nemenyi's p of each pair. Methods whose mean ranks differ
    by less than ``critical`` are not told apart at ``alpha``; ``cliques`` are the longest runs of
    such methods, as places in the order of the ranks, the first and the last one included.
    """

    datasets: int
    ranks: Floats
    statistic: float
    p: float
    p_chi2: float
    alpha: float
    critical: float
    pairs: Floats
    cliques: tuple[tuple[int, int], ...]


def friedman(scores: Values, *, alpha: float = 0.05, seed: int = 0) -> Friedman:
    """Rank methods on each data set and test whether mean ranks differ (Friedman, 1937).

    Higher scores are better, ties share the mean of their ranks. chi^2 = 12 N / (k (k + 1))
    sum_j (R_j - (k + 1) / 2)^2, divided by 1 - T / (N (k^3 - k)) with T = sum (t^3 - t) over groups
    of t ties. p: ranks are dealt anew within each data set `DRAWS` times, and
    p = (1 + as large) / (1 + draws), which holds for few data sets too, where the chi-square
    distribution is only near. Critical difference (Nemenyi, 1963; Demšar, 2006):
    q_alpha sqrt(k (k + 1) / (6 N)), q the studentised range of k means with infinite degrees of
    freedom, over sqrt(2).

    Args:
        scores: (N, k) a data set a row, a method a column.
        alpha: of the critical difference.
        seed: of the permutations.

    Raises:
        FusionlabError: fewer than two data sets or three methods, or scores that are not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 3:
        raise FusionlabError(
            f"Friedman's test: found shape {values.shape}, expected at least 2 data sets (rows) "
            "and 3 methods (columns)"
        )
    if not np.isfinite(values).all():
        raise FusionlabError("Friedman's test: found scores that are not finite numbers")
    n, k = values.shape
    table = stats.rankdata(-values, axis=1)
    ranks = table.mean(0)
    statistic = float(_statistic(table, ranks))
    spread = np.sqrt(k * (k + 1) / (6 * n))
    distances = np.abs(ranks[:, None] - ranks)
    pairs = stats.studentized_range.sf(distances / spread * np.sqrt(2), k, np.inf)
    critical = float(stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2) * spread)
    return Friedman(
        datasets=n,
        ranks=ranks,
        statistic=statistic,
        p=_permuted(table, ranks, seed),
        p_chi2=float(stats.chi2.sf(statistic, k - 1)),
        alpha=alpha,
        critical=critical,
        pairs=np.where(distances == 0, 1.0, pairs),
        cliques=_cliques(np.sort(ranks), critical),
    )


def _statistic(table: Floats, ranks: Floats) -> Floats:
    """chi^2 of mean ranks (..., k), given the table (N, k) of ranks with its ties."""
    n, k = table.shape
    sizes = [np.unique(row, return_counts=True)[1] for row in table]
    tied = sum(float((size**3 - size).sum()) for size in sizes)
    within = 1 - tied / (n * (k**3 - k))
    if within == 0:
        return np.zeros(ranks.shape[:-1])
    raw = 12 * n / (k * (k + 1)) * ((ranks - (k + 1) / 2) ** 2).sum(-1)
    return np.asarray(raw / within)


def _permuted(table: Floats, ranks: Floats, seed: int) -> float:
    rng = np.random.default_rng(seed)
    drawn = np.zeros((DRAWS, table.shape[1]))
    for row in table:
        drawn += rng.permuted(np.broadcast_to(row, drawn.shape), axis=1)
    found = _statistic(table, drawn / len(table))
    observed = float(_statistic(table, ranks))
    return float((1 + (found >= observed - TIE * max(1.0, observed)).sum()) / (1 + DRAWS))


def _cliques(ordered: Floats, critical: float) -> tuple[tuple[int, int], ...]:
    """Longest runs of sorted ranks that lie within the critical difference; alone is none."""
    found: list[tuple[int, int]] = []
    for start in range(len(ordered)):
        end = int(np.searchsorted(ordered, ordered[start] + critical, side="right")) - 1
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return tuple(found)
