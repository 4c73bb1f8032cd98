"""Metrics apart for items and users without and with a train click, against plain loops."""

import dataclasses

import polars as pl
import pytest
import ranking_reference as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_reference import Problem, clicks, draw

from fusionlab.evaluation.cold import GROUPS, groups_of
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.metrics import FULL_METRICS, LIST_METRICS

EVERY = [*LIST_METRICS, "coverage", *FULL_METRICS]
CUTOFFS = [1, 5, 20]
problems = st.builds(
    draw, st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 60),
    levels=st.sampled_from([1, 3, 1000]), busy=st.sampled_from([0.02, 0.1, 0.5]),
)  # fmt: skip


def judged(problem, **options):
    options = {"metrics": EVERY, "cutoffs": CUTOFFS, **options}
    return evaluate(problem.scores, problem.exclude, problem.relevant, **options)


def only_positives(problem, split, kept):
    """The same lists, with some of the positives alone."""
    rows = [
        [item for item in reference.row(problem.relevant[split], user) if kept(item)]
        for user in range(problem.exclude.n_users)
    ]
    return dataclasses.replace(problem, relevant={split: clicks(rows, problem.exclude.n_items)})


def per_user(problem, split, users, counted, k, group):
    """What each metric is worth to each user; None for those who do not count."""
    judged = [
        reference.per_user(problem, split, user, k) if one else None
        for user, one in zip(users, counted, strict=True)
    ]
    return {f"{name}@{k} {group}": [one and one[name] for one in judged] for name in LIST_METRICS}


@settings(max_examples=60, deadline=None)
@given(problem=problems)
def test_equals_plain_loops(problem) -> None:
    cold_item = (problem.exclude.popularity == 0).tolist()
    cold_user = (problem.exclude.counts == 0).tolist()
    for split, result in judged(problem, cold=True).items():
        users = reference.judged(problem, split)
        assert result.units.tolist() == users
        positives = {cold_item[i] for u in users for i in reference.row(problem.relevant[split], u)}
        people = {cold_user[user] for user in users}
        expected = {}
        for cold, where, whose in ((True, GROUPS[0], GROUPS[2]), (False, GROUPS[1], GROUPS[3])):
            some = only_positives(problem, split, lambda item, cold=cold: cold_item[item] == cold)
            of_items = [bool(reference.row(some.relevant[split], user)) for user in users]
            of_users = [cold_user[user] == cold for user in users]
            for k in CUTOFFS:
                if len(positives) == 2:
                    expected |= per_user(some, split, users, of_items, k, where)
                if len(people) == 2:
                    expected |= per_user(problem, split, users, of_users, k, whose)
        assert set(result.of_some) == set(expected)
        means = result.means()
        for name, values in expected.items():
            found = pl.Series(result.of_some[name].numpy()).fill_nan(None)
            assert found.to_list() == pytest.approx(values, abs=1e-12), name
            assert means[name] == pytest.approx(pl.Series(values).mean(), abs=1e-12), name


@settings(max_examples=20, deadline=None)
@given(problem=problems)
def test_what_is_judged_of_all_stays_bit_for_bit(problem) -> None:
    alone, beside = judged(problem), judged(problem, cold=True)
    for split, result in alone.items():
        assert not result.of_some
        assert result.overall == beside[split].overall
        assert set(result.per_unit) == set(beside[split].per_unit)
        for name, values in result.per_unit.items():
            assert torch.equal(values, beside[split].per_unit[name]), name


def test_hits_of_the_two_groups_are_the_hits_of_all() -> None:
    problem = draw(3, 40, 50, busy=0.05)
    for result in judged(problem, cold=True).values():
        precision = result.per_unit["precision@20"]
        parts = [result.of_some[f"precision@20 {group}"].nan_to_num(0) for group in GROUPS[:2]]
        torch.testing.assert_close(parts[0] + parts[1], precision, atol=1e-12, rtol=0)
        assert precision.sum() > 0


def test_a_group_that_nobody_is_in_has_no_figures() -> None:
    train, table = clicks([[0], [1]], 3), torch.zeros(2, 3)
    for rows, groups in (
        ([[1], [0]], ()),
        ([[2], [2]], ()),
        ([[1], [2]], GROUPS[:2]),
    ):
        relevant = {"test": clicks(rows, 3)}
        assert groups_of(train, relevant["test"]) == groups
        found = judged(Problem(table, train, relevant), cold=True, metrics=["recall"])["test"]
        assert len(found.of_some) == len(CUTOFFS) * len(groups)
    assert groups_of(clicks([[0], []], 3), clicks([[1], [1]], 3)) == GROUPS[2:]
