"""Encoding a column from files to features, beside the bare model on prepared batches."""

import encoding
import pytest


@pytest.mark.parametrize("medium", [*encoding.CASES])
@pytest.mark.parametrize("side", ["pipeline", "bare model"])
def test_encode(benchmark, medium, side):
    benchmark.group = f"encoding {medium}"
    ours, bare = encoding.pair(medium)
    benchmark.pedantic(ours if side == "pipeline" else bare, rounds=2, warmup_rounds=1)
