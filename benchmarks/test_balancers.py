"""An epoch of three modalities with every balancer, and with signals read more or less often."""

import pytest
from balancers import FUSIONS, SIGNALS, balancers, variants


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", [*SIGNALS, *balancers()])
def test_epoch(benchmark, name, fusion):
    benchmark.group = f"25 steps of 2,048 clicks with {fusion}"
    benchmark.pedantic(variants(fusion)[name](), rounds=3, warmup_rounds=1)
