from pathlib import Path

import polars as pl
import pytest
import ranking_reference as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_reference import clicks, draw

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.metrics import CATALOGUE_METRICS, FULL_METRICS, LIST_METRICS
from fusionlab.evaluation.result import Evaluation

EVERY = [*LIST_METRICS, *CATALOGUE_METRICS, *FULL_METRICS]
CUTOFFS = [1, 3, 10, 20]
DATA = Path(__file__).parents[3] / "shared" / "data"
seeds = st.integers(0, 2**32 - 1)
problems = st.builds(
    draw,
    seeds,
    st.integers(1, 10),
    st.integers(1, 120),
    levels=st.sampled_from([1, 3, 1000]),
    busy=st.sampled_from([0.1, 0.5, 1.0]),
)


def run(problem, metrics=EVERY, cutoffs=CUTOFFS, **options):
    return evaluate(
        problem.scores,
        problem.exclude,
        problem.relevant,
        metrics=metrics,
        cutoffs=cutoffs,
        **options,
    )


@settings(max_examples=40, deadline=None)
@given(problem=problems, block=st.integers(1, 11))
def test_equals_plain_loops(problem, block) -> None:
    for split, result in run(problem, block=block).items():
        users = reference.judged(problem, split)
        assert result.units.tolist() == users
        expected = {f"{name}@{k}": [] for name in LIST_METRICS for k in CUTOFFS}
        for user in users:
            for k in CUTOFFS:
                for name, value in reference.per_user(problem, split, user, k).items():
                    expected[f"{name}@{k}"].append(value)
        expected["auc"] = [reference.auc(problem, split, user) for user in users]
        assert set(result.per_unit) == set(expected)
        for name, values in expected.items():
            assert result.per_unit[name].tolist() == pytest.approx(values, abs=1e-12), name
        for k in CUTOFFS:
            for name, value in reference.catalogue(problem, split, k).items():
                assert result.overall[f"{name}@{k}"] == pytest.approx(value, abs=1e-12), name
        assert set(result.overall) == {f"{name}@{k}" for name in CATALOGUE_METRICS for k in CUTOFFS}


@settings(max_examples=30, deadline=None)
@given(problem=problems)
def test_bounds_and_monotony(problem) -> None:
    for result in run(problem, cutoffs=[1, 2, 5, 30]).values():
        for name, values in result.per_unit.items():
            assert ((values >= 0) & (values <= 1)).all(), name
        for name in ("recall", "hit_rate", "mrr"):
            along = torch.stack([result.per_unit[f"{name}@{k}"] for k in (1, 2, 5, 30)])
            assert (along.diff(dim=0) >= 0).all()
        for name, value in result.overall.items():
            assert value >= 0
            assert name.startswith("novelty") or value <= 1


@settings(max_examples=20, deadline=None)
@given(problem=problems, seed=seeds)
def test_permuting_users_permutes_their_values(problem, seed) -> None:
    n_users = len(problem.table)
    order = torch.randperm(n_users, generator=torch.Generator().manual_seed(seed))

    def permuted(of: Clicks) -> Clicks:
        return clicks([reference.row(of, user) for user in order.tolist()], of.n_items)

    other = reference.Problem(
        problem.table[order],
        permuted(problem.exclude),
        {split: permuted(of) for split, of in problem.relevant.items()},
    )
    before, after = run(problem), run(other, people=order)
    for split in before:
        at = torch.full((n_users,), -1)
        at[before[split].units] = torch.arange(len(before[split].units))
        back = at[order[after[split].units]]
        for name, values in before[split].per_unit.items():
            assert torch.equal(values[back], after[split].per_unit[name]), name
        assert before[split].overall == after[split].overall


def test_block_size_and_threads_change_no_bit_of_any_figure() -> None:
    problem = draw(5, 60, 1500, levels=50, busy=0.02)
    threads, expected = torch.get_num_threads(), run(problem)
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            for block in (1, 13, 256):
                found = run(problem, block=block)
                for split, result in expected.items():
                    assert found[split].means() == result.means()
                    for name, values in result.per_unit.items():
                        assert torch.equal(found[split].per_unit[name], values)
    finally:
        torch.set_num_threads(threads)


def test_users_are_ranked_once_for_all_splits_and_only_those_with_positives() -> None:
    asked = []
    table = torch.rand(5, 8)

    def scores(users):
        asked.extend(users.tolist())
        return table[users]

    relevant = {
        "valid": clicks([[1], [], [2], [], []], 8),
        "test": clicks([[3], [4], [], [], []], 8),
    }
    results = evaluate(scores, clicks([[]] * 5, 8), relevant, metrics=["recall"], cutoffs=[2])
    assert asked == [0, 1, 2]
    assert results["valid"].units.tolist() == [0, 2]
    assert results["test"].units.tolist() == [0, 1]


def test_means_are_full_precision_and_include_the_overall_figures() -> None:
    table = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    relevant = {"valid": clicks([[0], [1], [2]], 3)}
    result = evaluate(
        lambda u: table[u],
        clicks([[]] * 3, 3),
        relevant,
        metrics=["recall", "mrr", "coverage"],
        cutoffs=[1, 3],
    )["valid"]
    assert result.means() == {
        "recall@1": 1 / 3,
        "recall@3": 1.0,
        "mrr@1": 1 / 3,
        "mrr@3": pytest.approx((1 + 1 / 2 + 1 / 3) / 3, abs=1e-15),
        "coverage@1": 1 / 3,
        "coverage@3": 1.0,
    }


def test_threads_change_no_bit_of_a_mean_over_many_users() -> None:
    values = torch.rand(20, 300_001, generator=torch.Generator().manual_seed(0)).double() / 3
    per_unit = {f"recall@{k}": row for k, row in enumerate(values)}
    result = Evaluation(torch.arange(values.shape[1]), per_unit, {})
    threads, means = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            means.append(result.means())
    finally:
        torch.set_num_threads(threads)
    assert means[0] == means[1]


def test_an_excluded_positive_cannot_be_hit_but_counts() -> None:
    table = torch.tensor([[5.0, 4.0, 3.0, 2.0]])
    results = evaluate(
        lambda u: table[u],
        clicks([[0]], 4),
        {"valid": clicks([[0, 1]], 4)},
        metrics=["recall", "auc"],
        cutoffs=[4],
    )
    assert results["valid"].means() == {"recall@4": 0.5, "auc": 0.5}


def test_auc_alone_needs_no_cutoff() -> None:
    problem = draw(6, 4, 30)
    results = run(problem, metrics=["auc"], cutoffs=[])
    assert [*results["test"].means()] == ["auc"]


def test_auc_of_infinite_scores_and_half_precision() -> None:
    table = torch.tensor([[torch.inf, 1.0, torch.inf, -torch.inf, 0.0]]).half()
    relevant = {"valid": clicks([[0, 3]], 5)}
    results = evaluate(lambda u: table[u], clicks([[]], 5), relevant, metrics=["auc"], cutoffs=[])
    # Item 0 beats 1 and 4 and ties with 2; item 3 is no candidate and loses its three pairs.
    assert results["valid"].means()["auc"] == pytest.approx(2.5 / 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["ndgc"]}, "did you mean 'ndcg'"),
        ({"cutoffs": [0]}, "cutoffs: found 0"),
        ({"cutoffs": []}, "cutoffs: found none"),
        ({"relevant": {}}, "relevant: found no split"),
        ({"relevant": {"valid": clicks([[], []], 8)}}, r"relevant\['valid'\]: found no positive"),
        ({"relevant": {"valid": clicks([[1]], 8)}}, "found 1 users and 8 items, expected 2 and 8"),
    ],
)
def test_wrong_input(change, message) -> None:
    given = {"relevant": {"valid": clicks([[1], [2]], 8)}, "metrics": ["ndcg"], "cutoffs": [2]}
    given |= change
    with pytest.raises(FusionlabError, match=message):
        evaluate(lambda u: torch.rand(len(u), 8), clicks([[], []], 8), **given)


def test_nan_scores_name_the_user() -> None:
    problem = draw(7, 3, 40)
    problem.relevant["test"] = clicks([[1], [2], [3]], 40)
    problem.table[2] = torch.nan
    with pytest.raises(FusionlabError, match="NaN in the scores of user row 2"):
        run(problem)


@pytest.mark.parametrize(
    ("name", "recall", "ndcg"), [("tiktok", 0.0597, 0.0255), ("baby", 0.0495, 0.0212)]
)
def test_popularity_on_published_splits(name, recall, ndcg) -> None:
    path = DATA / name / f"{name}.inter"
    if not path.exists():
        pytest.skip(f"the published split {path.name} is not at hand")
    frame = pl.read_csv(path, separator="\t")
    shape = frame["userID"].max() + 1, frame["itemID"].max() + 1
    train, _, test = (
        Clicks.from_pairs(part["userID"].to_numpy(), part["itemID"].to_numpy(), *shape)
        for part in (frame.filter(pl.col("x_label") == label) for label in range(3))
    )
    popularity = train.popularity.float()
    means = evaluate(
        lambda u: popularity.expand(len(u), -1),
        train,
        {"test": test},
        metrics=["recall", "ndcg"],
        cutoffs=[20],
    )["test"].means()
    assert means == pytest.approx({"recall@20": recall, "ndcg@20": ndcg}, abs=0.0005)
