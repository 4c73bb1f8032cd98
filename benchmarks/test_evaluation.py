"""Full ranking of validation and test, all metrics, beside the scores alone."""

import judged_by_hand
import pytest
from by_hand import bare
from framework import as_a_run, factors, judging

from fusionlab.evaluation.metrics import DEFAULT_METRICS


@pytest.mark.benchmark(group="evaluating validation and test")
@pytest.mark.parametrize("metrics", [("recall", "ndcg"), DEFAULT_METRICS], ids=["two", "all"])
def test_evaluation(benchmark, metrics):
    benchmark.pedantic(as_a_run(judging(metrics)), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="evaluating validation and test")
def test_evaluation_by_hand(benchmark):
    users, items = factors()
    call = judged_by_hand.evaluation(lambda: users, lambda: items)
    benchmark.pedantic(bare(call), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="evaluating validation and test")
def test_scores_alone(benchmark):
    users, items = factors()
    call = bare(lambda: [block @ items for block in users.split(256)])
    benchmark.pedantic(call, rounds=5)
