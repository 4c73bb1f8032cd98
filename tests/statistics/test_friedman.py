"""Friedman and Nemenyi against scipy and scikit-posthocs."""

import numpy as np
import pytest
from scipy import stats

from fusionlab.errors import FusionlabError
from fusionlab.statistics.ranks import friedman


def scores(seed, n=8, k=5, step=0.4):
    return np.random.default_rng(seed).normal(size=(n, k)) + step * np.arange(k)


TIED = np.array([[1.0, 1, 2, 3], [2, 1, 1, 1], [0, 1, 2, 2], [1, 1, 1, 2], [3, 1, 2, 2]])


@pytest.mark.parametrize("table", [scores(0), scores(1, n=20, k=3), TIED])
def test_agrees_with_scipy_and_scikit_posthocs(table):
    found = friedman(table)
    expected = stats.friedmanchisquare(*table.T)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_chi2 == pytest.approx(expected.pvalue)
    posthocs = pytest.importorskip("scikit_posthocs")
    assert found.pairs == pytest.approx(posthocs.posthoc_nemenyi_friedman(table).to_numpy())


def test_critical_difference_of_the_tables():
    # Demšar (2006), table 5: q of .05 is 2.343 for two, 2.728 for five and 3.164 for ten methods.
    for k, q in ((3, 2.343), (5, 2.728), (10, 3.164)):
        found = friedman(scores(2, n=30, k=k))
        assert found.critical == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 30)), abs=1e-3)


def test_a_difference_of_exactly_the_critical_one_has_p_alpha():
    found = friedman(scores(3, n=12, k=4))
    spread = np.sqrt(4 * 5 / (6 * 12))
    p = stats.studentized_range.sf(found.critical / spread * np.sqrt(2), 4, np.inf)
    assert p == pytest.approx(0.05, abs=1e-6)


def test_p_by_permutation_is_exact_for_few_data_sets():
    # Two data sets that agree on three methods: 6 of the 36 pairs of orders agree as well.
    found = friedman([[1.0, 2, 3], [1.0, 2, 3]])
    assert found.p == pytest.approx(1 / 6, abs=0.015)
    assert found.ranks.tolist() == [3, 2, 1]


def test_false_findings_are_as_rare_as_promised():
    trials = 200
    found = sum(friedman(scores(seed, n=5, k=4, step=0)).p <= 0.05 for seed in range(trials))
    assert found <= stats.binom.interval(0.999, trials, 0.05)[1]


def test_cliques_are_the_longest_runs_that_are_not_told_apart():
    table = np.array([[4.0, 3.9, 1, 0.9]] * 20 + [[3.9, 4.0, 0.9, 1]] * 20)
    found = friedman(table)
    assert found.critical < 1
    assert found.cliques == ((0, 1), (2, 3))
    assert friedman(np.ones((3, 4))).cliques == ((0, 3),)
    assert friedman(np.ones((3, 4))).p == 1.0


def test_wrong_input():
    for bad in (np.ones((1, 5)), np.ones((5, 2)), np.ones(5)):
        with pytest.raises(FusionlabError, match="expected at least 2 data sets"):
            friedman(bad)
    with pytest.raises(FusionlabError, match="not finite"):
        friedman([[1.0, 2, np.nan], [1, 2, 3]])
