"""An epoch of VBPR (4096 + 384) and of a gated hybrid: the framework beside loops by hand."""

import by_hand
import framework
import pytest
from by_hand import TYPES, bare
from framework import as_a_run

VBPR = {"image": 4096, "text": 384}
GATED = {**VBPR, "audio": 128}


@pytest.mark.parametrize("held_in", TYPES)
@pytest.mark.parametrize("loop", ["framework", "by hand"])
@pytest.mark.parametrize(
    ("fusion", "widths", "hand"),
    [("concat", VBPR, by_hand.vbpr), ("gated", GATED, by_hand.gated)],
    ids=["vbpr", "gated"],
)
def test_epoch(benchmark, fusion, widths, hand, loop, held_in):
    benchmark.group = f"an epoch of the hybrid with {fusion}, features in {held_in}"
    epochs = {
        "framework": lambda: as_a_run(framework.epoch("hybrid", fusion, held_in, **widths)),
        "by hand": lambda: bare(hand(held_in)),
    }
    benchmark.pedantic(epochs[loop](), rounds=5, warmup_rounds=1)
