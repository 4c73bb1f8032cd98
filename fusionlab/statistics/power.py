"""How many users or seeds would tell a stated difference from chance?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import Values

MOST = 10**9
"""More users or seeds than this are as good as no number."""
QUANTILES, WEIGHTS = np.polynomial.legendre.leggauss(256)


@dataclass(frozen=True)
class Components:
    """Standard deviations of the differences D[s, u] between two rows, a seed and a user each.

    D[s, u] = mean + user_u + seed_s + rest_su, all of them random. A user's difference averaged
    over S seeds has the variance user^2 + rest^2 / S, a seed's averaged over U users seed^2 +
    rest^2 / U (unless an estimate was negative and is 0 here).
    """

    user: float
    seed: float
    rest: float


def components(differences: Values) -> Components:
    """Split the variance of paired differences into users, seeds and the rest.

    Two-way analysis of variance without replication, both factors random (Searle, Casella and
    McCulloch, 1992): rest^2 = MS_rest, user^2 = (MS_user - MS_rest) / S, seed^2 = (MS_seed -
    MS_rest) / U, where negative estimates are 0. With one seed, what belongs to the seed cannot be
    seen: ``seed`` is 0 and the rest is counted to the users.

    Args:
        differences: (S, U) the row's score minus the other row's, a seed each and a user each.

    Raises:
        FusionlabError: a shape that is none, or fewer than two users.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise FusionlabError(
            f"differences: found shape {values.shape}, expected (seeds, users), at least (1, 2)"
        )
    s, u = values.shape
    by_user = float(values.mean(0).var(ddof=1))
    if s == 1:
        return Components(float(np.sqrt(by_user)), 0.0, 0.0)
    by_seed = float(values.mean(1).var(ddof=1))
    left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    rest = float((left**2).sum() / ((s - 1) * (u - 1)))
    user, seed = max(0.0, by_user - rest / s), max(0.0, by_seed - rest / u)
    return Components(float(np.sqrt(user)), float(np.sqrt(seed)), float(np.sqrt(rest)))


def power_of(difference: float, sd: float, n: float, *, alpha: float = 0.05) -> float:
    """Chance that a two-sided one-sample t test of n values with this spread finds a difference.

    The noncentral t (Cohen, 1988) as a mean over the spread s that is found: with z =
    sqrt(n) difference / sd and t the test's critical value, E[Phi(z - t s) + Phi(-z - t s)] with
    (n - 1) s^2 chi-square distributed. Quadrature over the quantiles of s is never NaN, which the
    libraries' noncentral t is for large z.
    """
    if sd == 0:
        return 1.0 if difference else alpha
    z, t = np.sqrt(n) * abs(difference) / sd, stats.t.isf(alpha / 2, n - 1)
    spread = np.sqrt(stats.chi2.ppf((QUANTILES + 1) / 2, n - 1) / (n - 1))
    found = special.ndtr(z - t * spread) + special.ndtr(-z - t * spread)
    return min(1.0, float(found @ WEIGHTS / 2))  # weights sum to 2 but for rounding


def needed(difference: float, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The least n, at least 2, of which `power_of` is ``power``; inf if more than `MOST`."""
    _check(difference, alpha, power)
    found = _least(lambda n: power_of(difference, sd, n, alpha=alpha), power, 2.0, MOST)
    return found if found == inf else max(2, ceil(found - 1e-6))


def detectable(sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The least difference that n values with this spread find with ``power``; inf for one."""
    _check(1.0, alpha, power)
    if sd == 0 or n < 2:
        return 0.0 if sd == 0 else inf
    return sd * _least(lambda d: power_of(d, 1.0, n, alpha=alpha), power, 1e-6, MOST)


def _least(rising: Callable[[float], float], target: float, low: float, most: float) -> float:
    """Where a rising function reaches a target: ``low`` if it is there already, or inf."""
    if rising(low) >= target:
        return low
    high = 2 * low
    while rising(high) < target:
        high *= 2
        if high > most:
            return inf
    return float(brentq(lambda x: rising(x) - target, high / 2, high))


def _check(difference: float, alpha: float, power: float) -> None:
    if difference <= 0:
        raise FusionlabError(f"difference: found {difference}, expected a number above 0")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise FusionlabError(f"{name}: found {value}, expected a number between 0 and 1")
