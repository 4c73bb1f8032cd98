"""An epoch of negatives: exact and vectorised, beside rejection in plain Python."""

import random

import pytest
import torch
from shapes import ITEMS, clicks

from fusionlab.training.sampling import NegativeSampler


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_sampler(benchmark):
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    benchmark(sampler.draw, clicks().users, 1, generator)


@pytest.mark.benchmark(group="sampling an epoch of negatives")
def test_rejection_in_python(benchmark):
    benchmark.pedantic(rejection_in_python(), rounds=5)


def rejection_in_python():
    """A call that draws an epoch, user by user."""
    users = clicks().users.tolist()
    clicked = [set(row.tolist()) for row in clicks().items.split(clicks().counts.tolist())]

    def epoch():
        drawn = []
        for user in users:
            item = random.randrange(ITEMS)
            while item in clicked[user]:
                item = random.randrange(ITEMS)
            drawn.append(item)
        return drawn

    return epoch
