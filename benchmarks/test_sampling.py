"""An epoch of negatives: exact and vectorised, beside rejection, vectorised and in plain Python."""

import pytest
import torch
from by_hand import bare, rejection, rejection_in_python
from framework import as_a_run
from shapes import clicks

from fusionlab.training.sampling import NegativeSampler


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_sampler(benchmark):
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    benchmark(as_a_run(lambda: sampler.draw(clicks().users, 1, generator)))


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_rejection_by_hand(benchmark):
    benchmark(bare(rejection(torch.Generator().manual_seed(0))))


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_rejection_in_python(benchmark):
    benchmark.pedantic(bare(rejection_in_python()), rounds=5)
