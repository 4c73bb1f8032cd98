"""How many inputs are generated: 2,000 in `make test`, 100,000 in `make fuzz` (FUZZ_INPUTS)."""

import os

from hypothesis import HealthCheck, settings

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
SHARES = {
    "a format of datasets": 0.025,  # each of ten
    "configuration": 0.13,
    "overrides": 0.07,
    "a column of the feature store": 0.04,  # finished, and under way
    "hashes of media": 0.02,
    "run records": 0.09,
    "checkpoints": 0.005,
    "journals": 0.01,
    "pretrained models": 0.005,
    "trials": 0.04,
    "results of a study": 0.03,
    "results of a benchmark": 0.02,
    "the audit of a run": 0.01,
    "new items": 0.05,
    "groups of users": 0.02,
    "events": 0.05,
    "feedback files": 0.04,
    "pictures": 0.04,
    "sounds": 0.04,
    "weights": 0.025,
    "commands": 0.015,
}
"""Each is one test, or several of the same kind with as much each; together they are all inputs.
What takes longer than 20 ms (checkpoints, results, pretrained models, commands) has less."""


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
