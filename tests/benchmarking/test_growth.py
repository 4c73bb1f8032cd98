"""The exponent of a growth law: found where it is known, with a constant in its way."""

import numpy as np
import pytest

from fusionlab.benchmarking.growth import fit_growth
from fusionlab.errors import FusionlabError

SIZES = [1000 * 2**k for k in range(7)]


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 3.0])
def test_a_known_law_is_found(exponent, share):
    values = [2e-3 * (share * 1000**exponent + x**exponent) for x in SIZES]
    growth = fit_growth(SIZES, values)
    assert growth.exponent == pytest.approx(exponent, abs=1e-3)
    assert growth.constant == pytest.approx(2e-3 * share * 1000**exponent, abs=1e-3 * values[0])
    assert growth.error < 1e-2
    assert growth.at(3000) == pytest.approx(
        2e-3 * (share * 1000**exponent + 3000**exponent), rel=1e-3
    )


def test_the_standard_error_covers_the_noise():
    draw = np.random.default_rng(0)
    found = [
        fit_growth(SIZES, [x * np.exp(0.03 * draw.standard_normal()) for x in SIZES])
        for _ in range(200)
    ]
    off = np.array([abs(growth.exponent - 1) / growth.error for growth in found])
    assert 0.75 < (off < 2.5).mean() <= 1


def test_the_slope_is_that_of_the_last_two_points():
    assert fit_growth([1, 2, 4, 8], [1, 2, 4, 16]).slope == pytest.approx(2)


def test_what_does_not_grow_has_no_sure_exponent():
    growth = fit_growth(SIZES, [1.0] * len(SIZES))
    assert growth.exponent < 0.1 or growth.error > 1
    assert growth.at(5000) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("sizes", "values", "message"),
    [
        ([1, 2, 3], [1, 2, 3], "found 3 sizes and 3 values, expected at least 4"),
        ([1, 2, 2, 4], [1, 2, 3, 4], "expected sizes that rise"),
        ([1, 2, 3, 4], [0, 1, 2, 3], "values above zero"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes, values, message):
    with pytest.raises(FusionlabError, match=message):
        fit_growth(sizes, values)
