"""Statistics of a timing, and what counts as memory of a call."""

from itertools import accumulate

import numpy as np
import pytest
import torch

from fusionlab.benchmarking.timer import energy_counter, measure, peak_mb


def fake_clock(laps):
    """A clock that is read before and after each call, which takes the next of ``laps``."""
    edges = accumulate(part for lap in laps for part in (10.0, lap))
    return lambda: next(edges)


def test_statistics_of_known_laps():
    laps = [0.5, 0.1, 0.3, 0.2, 0.4]
    timing = measure(lambda: None, rounds=5, warmup=0, clock=fake_clock(laps))
    assert timing.rounds == 5
    assert timing.median == pytest.approx(0.3)
    assert timing.best == pytest.approx(0.1)
    assert (timing.p10, timing.p90) == pytest.approx(tuple(np.percentile(laps, (10, 90))))
    assert timing.joules is None


def test_warm_up_is_called_but_not_timed():
    calls = []
    measure(lambda: calls.append(1), rounds=4, warmup=3, clock=fake_clock([1.0] * 4))
    assert len(calls) == 7


def test_peak_counts_what_lives_at_once_and_not_what_was_there():
    before = torch.ones(1_000_000)

    def call():
        first = before + 1
        second = first * 2
        del first
        third = second * 2
        return third.sum()

    assert peak_mb(call) == pytest.approx(8.0, rel=0.01)
    assert peak_mb(lambda: before.add_(1)) < 0.01


def test_peak_counts_gradients():
    weight = torch.ones(1000, 1000, requires_grad=True)

    def call():
        (weight[0] * 2).sum().backward()
        weight.grad = None

    assert peak_mb(call) == pytest.approx(4.0, rel=0.05)


def test_no_energy_is_claimed_on_a_cpu():
    assert energy_counter("cpu") is None
