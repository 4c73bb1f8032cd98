"""Effect sizes against a second implementation, and what their intervals promise."""

import numpy as np
import pytest
from scipy import stats

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import LARGE
from fusionlab.statistics.effects import paired_effect


def pairs(seed, n, shift=0.2):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=n)
    return base + shift + rng.normal(size=n), base


def test_d_is_the_t_of_scipy_over_the_root_of_n():
    a, b = pairs(0, 50)
    found = paired_effect(a, b)
    assert found.d == pytest.approx(stats.ttest_rel(a, b).statistic / np.sqrt(50))
    assert found.interval[0] < found.d < found.interval[1]


def test_shares_and_wilson_by_hand():
    found = paired_effect([1.0, 2, 3, 4, 5], [0.0, 0, 3, 5, 0])
    assert (found.better, found.worse) == (0.6, 0.2)
    expected = stats.binomtest(3, 5).proportion_ci(method="wilson")
    assert found.better_interval == pytest.approx(tuple(expected))


@pytest.mark.parametrize("n", [80, LARGE])
def test_intervals_cover_the_true_d_as_often_as_promised(n, monkeypatch):
    monkeypatch.setattr("fusionlab.statistics.effects.RESAMPLES", 999)
    trials, covered = 100, 0
    for trial in range(trials):
        low, high = paired_effect(*pairs(trial, n, 0.5), level=0.9).interval
        covered += low <= 0.5 <= high
    low, high = stats.binom.interval(0.999, trials, 0.9)
    assert low <= covered <= high


def test_both_kinds_of_interval_agree_on_skewed_differences():
    values = np.random.default_rng(1).exponential(size=LARGE) - 0.7
    ends = [paired_effect(x, np.zeros(len(x))).interval for x in (values, values[:-1])]
    assert ends[0] == pytest.approx(ends[1], abs=0.1 * (ends[0][1] - ends[0][0]))


def test_nobody_differs_and_all_differ_alike():
    assert paired_effect([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).d == 0
    found = paired_effect([1.0, 2, 3], [0.0, 1, 2])
    assert (found.d, found.interval, found.better) == (None, None, 1.0)


def test_wrong_input():
    for a, b in (([1.0, 2], [1.0]), ([1.0], [2.0])):
        with pytest.raises(FusionlabError, match="effect size: found shapes"):
            paired_effect(a, b)
