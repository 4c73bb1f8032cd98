"""The ceilings by a clock that is known."""

import itertools

import pytest

from fusionlab.benchmarking.ceilings import last_level_cache, measure_ceilings


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rates_follow_from_sizes_and_seconds(precision):
    ticks = itertools.count(0.0, 0.5)
    found = measure_ceilings("cpu", precision, side=100, cache=1000, clock=lambda: next(ticks))
    assert found.matmul_gflops == pytest.approx({precision: 0.004})
    assert found.copy_gb_per_second == pytest.approx(2 * 2000 / 0.5 / 1e9)


def test_the_cache_is_of_a_sensible_size():
    assert 32 * 2**20 <= last_level_cache("cpu") < 2**33
