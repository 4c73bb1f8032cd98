"""How a cost grows with a size: a constant plus a power law, fitted to measurements."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeWarning, curve_fit

from fusionlab.errors import FusionlabError

Floats = npt.NDArray[np.float64]
STEEPEST = 4.0
FEWEST = 4


@dataclass(frozen=True)
class Growth:
    """y = constant + factor x^exponent, and how sure the exponent is.

    ``error`` is the exponent's standard error, infinite where the points do not determine it;
    ``slope`` is that of the last two points on log-log axes, which a constant pulls down.
    """

    constant: float
    factor: float
    exponent: float
    error: float
    slope: float

    def at(self, size: float) -> float:
        """The cost at a size, measured or not."""
        return float(self.constant + self.factor * size**self.exponent)


def fit_growth(sizes: Sequence[float], values: Sequence[float]) -> Growth:
    """Fit y = a + b x^p with a, b, p >= 0 by least squares on log y.

    The noise of a timing is relative, hence the logarithm. Where the best a is zero it is left out
    and the standard error is that of the fit without it: (residual sum of squares / degrees of
    freedom) times the diagonal of (J^T J)^-1.

    Args:
        sizes: (n,) x > 0, rising.
        values: (n,) y > 0.

    Raises:
        FusionlabError: fewer than four points, sizes that do not rise, or values not above zero.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    if len(x) != len(y) or len(x) < FEWEST:
        raise FusionlabError(
            f"growth: found {len(x)} sizes and {len(y)} values, expected at least {FEWEST} of each"
        )
    if x[0] <= 0 or (np.diff(x) <= 0).any() or (y <= 0).any():
        raise FusionlabError(
            f"growth: found sizes {x.tolist()} and values {y.tolist()}, expected sizes that rise "
            "and values above zero"
        )
    slopes = np.diff(np.log(y)) / np.diff(np.log(x))
    # In units of the last point all three parameters are of the order of one.
    u, v = x / x[-1], np.log(y / y[-1])
    start = float(np.clip(slopes[-1], 0.1, STEEPEST / 2))
    (p, b, a), covariance = _fit(_with_constant, u, v, [start, 1.0, 1e-3])
    if a < 1e-6:
        (p, b), covariance = _fit(_without_constant, u, v, [start, 1.0])
        a = 0.0
    return Growth(
        constant=float(a * y[-1]),
        factor=float(b * y[-1] / x[-1] ** p),
        exponent=float(p),
        error=float(np.sqrt(covariance[0, 0])),
        slope=float(slopes[-1]),
    )


def _fit(law: object, u: Floats, v: Floats, start: list[float]) -> tuple[Floats, Floats]:
    highest = [STEEPEST, np.inf, np.inf][: len(start)]
    with warnings.catch_warnings():
        # Where the covariance cannot be found it is infinite, which is what is reported.
        warnings.simplefilter("ignore", OptimizeWarning)
        found, covariance = curve_fit(law, u, v, start, bounds=([0] * len(start), highest))
    return found, covariance


def _with_constant(u: Floats, p: float, b: float, a: float) -> Floats:
    return np.log(a + b * u**p + 1e-300)


def _without_constant(u: Floats, p: float, b: float) -> Floats:
    return np.log(b * u**p + 1e-300)
