"""How large is a difference? Effect sizes of paired values, one pair a user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import LARGE, Floats, Values

RESAMPLES = 9_999


@dataclass(frozen=True)
class Effect:
    """How one row differs from another, in units that do not depend on the metric's.

    ``d`` is the mean difference in standard deviations of the differences, None where all users
    differ by one and the same amount. ``better`` and ``worse`` are shares of the users; the rest
    are served equally well. The intervals are confidence intervals over users.
    """

    d: float | None
    interval: tuple[float, float] | None
    better: float
    better_interval: tuple[float, float]
    worse: float


def paired_effect(a: Values, b: Values, *, level: float = 0.95, seed: int = 0) -> Effect:
    """Effect size of a - b over paired users.

    d_z = mean(a - b) / sd(a - b) (Cohen, 1988). Its interval is, below `LARGE` users, the
    bias-corrected and accelerated bootstrap (Efron, 1987), from there on normal with the variance
    of the delta method, (1 - d g + d^2 (k - 1) / 4) / n with skewness g and kurtosis k of the
    differences, which assumes no distribution. The interval of the share of users who are better
    served is Wilson's (1927).

    Args:
        a: (n,) one value a user.
        b: (n,) the same users in the same order.
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        FusionlabError: lengths that differ, or fewer than two users.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 1 or len(left) < 2:
        raise FusionlabError(
            f"effect size: found shapes {left.shape} and {right.shape}, expected (n,) twice with n "
            "at least 2: the same users in the same order"
        )
    differences = left - right
    better, n = int((differences > 0).sum()), len(differences)
    low, high = proportion_confint(better, n, alpha=1 - level, method="wilson")
    d, interval = _standardised(differences, level, seed)
    worse = int((differences < 0).sum()) / n
    return Effect(d, interval, better / n, (float(low), float(high)), worse)


def _standardised(
    differences: Floats, level: float, seed: int
) -> tuple[float | None, tuple[float, float] | None]:
    if np.ptp(differences) == 0:
        return (None, None) if differences[0] else (0.0, (0.0, 0.0))
    d = float(_d(differences))
    if len(differences) >= LARGE:
        skewness = stats.skew(differences)
        kurtosis = stats.kurtosis(differences, fisher=False)
        variance = (1 - d * skewness + d**2 * (kurtosis - 1) / 4) / len(differences)
        reach = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance)
        return d, (float(d - reach), float(d + reach))
    low, high = stats.bootstrap(
        (differences,),
        _d,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return d, (float(low), float(high))


def _d(values: Floats, axis: int = -1) -> Floats:
    """mean / sd, and 0 where a resample drew nobody who differs."""
    mean, spread = values.mean(axis), values.std(axis, ddof=1)
    return np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 0)
