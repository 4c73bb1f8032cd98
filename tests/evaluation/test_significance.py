from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import (
    LARGE,
    compare,
    holm,
    mean_interval,
    over_seeds,
    paired_permutation,
)

small = st.lists(st.integers(-4, 4), min_size=1, max_size=7)


def noise(seed, n, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, n)


@settings(max_examples=60, deadline=None)
@given(small)
def test_few_users_are_enumerated_exactly(differences) -> None:
    tenths = np.array(differences) / 10
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in product((1, -1), repeat=len(differences))]  # fmt: skip
    expected = np.mean([total >= abs(sum(differences)) for total in sums])
    assert paired_permutation(tenths, np.zeros(len(tenths))) == pytest.approx(expected)


def test_agrees_with_scipy_where_patterns_are_drawn() -> None:
    a, b = noise(1, 60, 0.25), noise(2, 60)
    expected = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        rng=3,
    ).pvalue
    assert paired_permutation(a, b) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n", [5, 11, 40, 3000])
def test_swapping_gives_the_same_p_bit_for_bit_and_so_does_running_again(n) -> None:
    a, b = noise(3, n, 0.1), noise(4, n)
    p = paired_permutation(a, b, permutations=2000)
    assert paired_permutation(b, a, permutations=2000) == p
    assert paired_permutation(a, b, permutations=2000) == p
    assert 0 < p <= 1


def test_users_without_a_difference_change_nothing() -> None:
    a, b = noise(5, 30, 0.3), noise(6, 30)
    same = noise(7, 500)
    with_them = paired_permutation(np.concatenate([a, same]), np.concatenate([b, same]))
    assert with_them == paired_permutation(a, b)
    assert paired_permutation(same, same) == 1.0


def test_five_seeds_alone_cannot_reach_five_per_cent() -> None:
    assert paired_permutation(np.arange(1.0, 6), np.zeros(5)) == 2 / 32


def test_p_is_never_zero_and_falls_with_the_effect() -> None:
    base = noise(8, 200)
    spread = noise(9, 200)
    p = [paired_permutation(base + spread + shift, base) for shift in (0.0, 0.1, 0.2, 0.3, 2.0)]
    assert p == sorted(p, reverse=True)
    assert p[0] > 0.05 > p[-2]
    assert p[-1] == 1 / 10_001


def hits(rng, n, seeds=3):
    """Discounted hits of n users, of whom most have none and few have many, a seed each."""
    chance = rng.beta(0.4, 4, n)
    ranks = rng.integers(1, 21, (2, seeds, n))
    found = np.where(rng.random((2, seeds, n)) < chance, 1 / np.log2(ranks + 1), 0)
    return over_seeds(found[0]), over_seeds(found[1])


@pytest.mark.parametrize(("world", "n"), [("normal", 40), ("hits", 150)])
def test_false_findings_are_as_rare_as_promised(world, n) -> None:
    trials, p = 2000, []
    rng = np.random.default_rng(20)
    for trial in range(trials):
        a, b = rng.normal(size=(2, n)) if world == "normal" else hits(rng, n)
        p.append(paired_permutation(a, b, permutations=399, seed=trial))
    assert 0.04 < np.mean(np.array(p) <= 0.05) < 0.06


@pytest.mark.parametrize("n", [60, LARGE])
def test_an_interval_covers_the_true_mean_as_often_as_promised(n) -> None:
    trials, covered = 100, 0
    for trial in range(trials):
        low, high = mean_interval(noise(trial, n, 0.5), level=0.9, resamples=999)
        covered += low <= 0.5 <= high
    low, high = stats.binom.interval(0.999, trials, 0.9)
    assert low <= covered <= high


def test_an_interval_is_deterministic_narrows_with_n_and_widens_with_the_level() -> None:
    values = noise(10, 400)
    low, high = mean_interval(values)
    assert mean_interval(values) == (low, high)
    assert low < values.mean() < high
    wider, narrower = mean_interval(values, level=0.99), mean_interval(np.tile(values, 10))
    assert wider[0] < low < narrower[0]
    assert narrower[1] < high < wider[1]
    assert mean_interval([0.25] * 5) == (0.25, 0.25)


def test_the_two_kinds_of_interval_agree_where_they_meet() -> None:
    values = noise(11, LARGE)
    ends = [mean_interval(values), mean_interval(values[:-1])]
    assert ends[0] == pytest.approx(ends[1], abs=0.05 * (ends[0][1] - ends[0][0]))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_holm_is_that_of_statsmodels() -> None:
    p_values = np.random.default_rng(0).random(60).round(2)  # some are alike
    assert holm(p_values) == multipletests(p_values, method="holm")[1].tolist()


def test_over_seeds_is_the_mean_of_each_user() -> None:
    assert over_seeds([torch.tensor([1.0, 0.0]), [0.0, 0.0]]).tolist() == [0.5, 0.0]
    with pytest.raises(FusionlabError, match=r"runs\[1\]: found 1 values, expected 2"):
        over_seeds([[1.0, 0.0], [1.0]])
    with pytest.raises(FusionlabError, match="runs: found none"):
        over_seeds([])


def test_compare_says_which_way_and_corrects_for_the_family() -> None:
    reference = torch.from_numpy(noise(12, 300))
    spread = torch.from_numpy(noise(13, 300))
    rows = {
        "better": reference + 0.3 + 0.5 * spread,
        "worse": reference - 0.3 + 0.5 * spread,
        "alike": reference + 0.5 * (spread - spread.mean()),
        "equal": reference,
    }
    found = {row.label: row for row in compare(reference, rows)}
    assert [*found] == [*rows]
    better, worse = found["better"], found["worse"]
    assert (better.direction, worse.direction) == ("higher", "lower")
    assert better.difference == pytest.approx(float((rows["better"] - reference).mean()))
    assert 0 < better.interval[0] < better.difference < better.interval[1]
    assert worse.interval[0] < worse.difference < worse.interval[1] < 0
    assert better.p_holm < 0.01
    assert worse.p_holm < 0.01
    assert found["alike"].p > 0.5
    assert found["alike"].interval[0] < 0 < found["alike"].interval[1]
    assert (found["equal"].direction, found["equal"].p) == ("equal", 1.0)
    assert all(row.p <= row.p_holm <= 1 for row in found.values())


def test_compare_is_symmetric_in_swapping() -> None:
    a, b = noise(14, 2000, 0.05), noise(15, 2000)
    (forth,), (back,) = compare(a, {"b": b}), compare(b, {"a": a})
    assert forth.p == back.p
    assert forth.difference == -back.difference
    assert forth.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert {forth.direction, back.direction} == {"higher", "lower"}


@pytest.mark.parametrize(
    ("reference", "other", "message"),
    [
        ([1.0, 2.0], [1.0], "row: found 1 values, expected 2"),
        ([1.0, np.nan], [1.0, 2.0], "reference: found nan at position 1"),
        ([], [], r"reference: found shape \(0,\)"),
        ([1.0], [2.0], "values: found 1, expected at least 2"),
    ],
)
def test_wrong_input(reference, other, message) -> None:
    with pytest.raises(FusionlabError, match=message):
        compare(reference, {"row": other})


def test_no_other_rows() -> None:
    assert compare([1.0, 2.0], {}) == []
