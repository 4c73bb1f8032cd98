"""What a language model has read and keeps, beside reading all anew."""

import llm_prefix
import pytest


@pytest.mark.parametrize("case", [*llm_prefix.CASES])
@pytest.mark.parametrize("side", ["kept", "anew"])
def test_llm_prefix(benchmark, case, side):
    benchmark.group = case
    kept, anew = llm_prefix.calls(case)
    benchmark.pedantic(kept if side == "kept" else anew, rounds=3, warmup_rounds=1)
