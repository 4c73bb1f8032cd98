"""Full ranking of validation and test, all metrics, beside the scores alone."""

import by_hand
import pytest
import torch
from shapes import HELD_OUT, ITEMS, USERS, clicks

from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.training.ranking import DEFAULT_METRICS


def factors():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(USERS, 64, generator=draw), torch.randn(64, ITEMS, generator=draw)


def judging(metrics):
    """A call that evaluates random factors on both splits."""
    users, items = factors()
    relevant = {"valid": clicks(HELD_OUT, 1), "test": clicks(HELD_OUT, 2)}
    return lambda: evaluate(
        lambda rows: users[rows] @ items, clicks(), relevant, metrics=metrics, cutoffs=(10, 20)
    )


@pytest.mark.benchmark(group="evaluating validation and test")
@pytest.mark.parametrize("metrics", [("recall", "ndcg"), DEFAULT_METRICS], ids=["two", "all"])
def test_evaluation(benchmark, metrics):
    benchmark.pedantic(judging(metrics), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="evaluating validation and test")
def test_evaluation_by_hand(benchmark):
    users, items = factors()
    call = by_hand.evaluation(lambda: users, lambda: items)
    benchmark.pedantic(call, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="evaluating validation and test")
def test_scores_alone(benchmark):
    users, items = factors()
    benchmark.pedantic(lambda: [block @ items for block in users.split(256)], rounds=5)
