"""An epoch of negatives: exact and vectorised, beside rejection in plain Python."""

import pytest
import torch
from by_hand import rejection_in_python
from shapes import clicks

from fusionlab.training.sampling import NegativeSampler


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_sampler(benchmark):
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    benchmark(sampler.draw, clicks().users, 1, generator)


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_rejection_in_python(benchmark):
    benchmark.pedantic(rejection_in_python(), rounds=5)
