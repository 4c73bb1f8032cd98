"""Power against statsmodels and simulation; components of variance against known ones."""

from math import inf

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import paired_permutation
from fusionlab.statistics.power import components, detectable, needed, power_of


@pytest.mark.parametrize("d", [0.05, 0.2, 0.5, 2.0])
def test_agrees_with_statsmodels(d):
    judge = TTestPower()
    assert needed(d, 1.0) == np.ceil(judge.solve_power(d, alpha=0.05, power=0.8))
    for n in (5, 40, 900):
        expected = judge.power(d, n, 0.05)
        if np.isnan(expected):  # the library's noncentral t gives up where the power is 1
            expected = 1.0
        assert power_of(d, 1.0, n) == pytest.approx(expected, abs=1e-6)


def test_the_least_difference_agrees_with_statsmodels():
    for n in (5, 40, 900):
        expected = TTestPower().solve_power(None, nobs=n, alpha=0.01, power=0.8)
        assert detectable(1.0, n, alpha=0.01) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("world", ["normal", "mostly zeros"])
def test_the_test_finds_the_difference_as_often_as_promised(world):
    trials, rng = 2000, np.random.default_rng(0)
    gains = 1 / np.log2(np.arange(1, 21) + 1)
    # A hit is gained by 12 % of the users and lost by 6 %, at any of the 20 ranks.
    mean, square = 0.06 * gains.mean(), 0.18 * (gains**2).mean()
    shift, sd = (0.3, 1.0) if world == "normal" else (mean, np.sqrt(square - mean**2))
    n, found = needed(shift, sd), 0
    for trial in range(trials):
        if world == "normal":
            differences = rng.normal(shift, sd, n)
        else:
            signs = rng.choice([1, -1, 0], n, p=[0.12, 0.06, 0.82])
            differences = signs * rng.choice(gains, n)
        p = paired_permutation(differences, np.zeros(n), permutations=399, seed=trial)
        found += p <= 0.05
    low, high = stats.binom.interval(0.999, trials, 0.8)
    assert low <= found <= high


def test_needed_and_detectable_are_each_others_inverse():
    least = detectable(2.0, 500, alpha=0.01, power=0.9)
    assert needed(least * 1.0001, 2.0, alpha=0.01, power=0.9) == 500
    assert needed(least * 0.99, 2.0, alpha=0.01, power=0.9) > 500


def test_ends():
    assert needed(1.0, 0.0) == 2
    assert needed(1e-9, 1.0) == inf
    assert detectable(0.0, 5) == 0
    assert detectable(1.0, 1) == inf
    assert power_of(100.0, 1.0, 500) == 1.0
    for wrong in ({"difference": 0.0}, {"power": 1.0}, {"alpha": 0.0}):
        with pytest.raises(FusionlabError, match=f"{next(iter(wrong))}: found"):
            needed(**{"difference": 1.0, "sd": 1.0, **wrong})


def test_components_are_recovered():
    rng = np.random.default_rng(1)
    seeds, users = 60, 3000
    values = 0.3 + 0.5 * rng.normal(size=(seeds, 1)) + 1.5 * rng.normal(size=(1, users))
    values = values + 2.0 * rng.normal(size=(seeds, users))
    found = components(values)
    assert found.user == pytest.approx(1.5, rel=0.05)
    assert found.seed == pytest.approx(0.5, rel=0.3)
    assert found.rest == pytest.approx(2.0, rel=0.02)
    # What the tests see follows from them.
    assert np.hypot(found.user, found.rest / np.sqrt(seeds)) == pytest.approx(
        values.mean(0).std(ddof=1)
    )
    assert np.hypot(found.seed, found.rest / np.sqrt(users)) == pytest.approx(
        values.mean(1).std(ddof=1)
    )


def test_of_one_seed_nothing_is_known_of_seeds():
    values = np.random.default_rng(2).normal(size=(1, 50))
    found = components(values)
    assert (found.seed, found.rest) == (0, 0)
    assert found.user == pytest.approx(values.std(ddof=1))
    with pytest.raises(FusionlabError, match=r"expected \(seeds, users\)"):
        components(np.ones((5, 1)))
