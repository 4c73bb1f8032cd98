"""An epoch of recommenders on IDs: the framework beside loops written by hand."""

import by_hand
import framework
import pytest
from by_hand import bare
from framework import as_a_run


@pytest.mark.benchmark(group="an epoch of BPR")
def test_framework(benchmark):
    benchmark.pedantic(as_a_run(framework.epoch("bpr_mf")), rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="an epoch of BPR")
def test_by_hand(benchmark):
    benchmark.pedantic(bare(by_hand.bpr()), rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="an epoch of LightGCN-2")
def test_lightgcn_framework(benchmark):
    benchmark.pedantic(as_a_run(framework.epoch("lightgcn_id")), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="an epoch of LightGCN-2")
def test_lightgcn_by_hand(benchmark):
    benchmark.pedantic(bare(by_hand.lightgcn()), rounds=5, warmup_rounds=1)
