"""How many inputs are generated: 2,000 in `make test`, 100,000 in `make fuzz` (FUZZ_INPUTS)."""

import os

from hypothesis import HealthCheck, settings

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
SHARES = {
    "readers": 0.30,
    "configuration": 0.20,
    "overrides": 0.10,
    "feature store": 0.08,
    "run records": 0.08,
    "events": 0.08,
    "feedback files": 0.04,
    "pictures": 0.04,
    "sounds": 0.04,
    "weights": 0.04,
}


def inputs(target):
    """Settings of a fuzzed test: its share of the inputs, the same ones in every `make test`."""
    return settings(
        max_examples=round(INPUTS * SHARES[target]),
        deadline=None,
        database=None,
        derandomize=INPUTS <= 2000,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
