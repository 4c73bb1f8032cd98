"""The contract away from the defaults, which tests/fusion/test_contract.py covers."""

import pytest

from fusionlab.fusion.checks import CHECKS, hold
from fusionlab.fusion.contract import FUSIONS

OPTIONS = [
    {"name": "transformer", "layers": 1, "heads": 1},
    {"name": "transformer", "positions": "sinusoidal"},
    {"name": "transformer", "positions": "learned"},
    {"name": "cross_attention", "layers": 2},
    {"name": "cross_attention", "merge": "concat", "tokens": "sequence"},
    {"name": "bottleneck", "pool": "class_token"},
    {"name": "bottleneck", "layers": 3, "fusion_layer": 1, "bottlenecks": 1},
    {"name": "bottleneck", "pool": "class_token", "positions": "learned"},
    {"name": "perceiver", "layers": 2, "latents": 2},
    {"name": "perceiver", "reads": "tokens_and_latents", "positions": "learned"},
    {"name": "mixture_of_experts", "experts": 2, "top_k": 1},
    {"name": "mixture_of_experts", "experts": 3, "top_k": 2},
    {"name": "mixture_of_experts", "experts": 3, "top_k": 2, "gate": "chosen"},
    {"name": "mixture_of_experts", "experts": 3, "top_k": 1, "noise": True},
    {"name": "mixture_of_experts", "top_k": 2, "gate": "chosen", "noise": True},
    {"name": "variational_experts", "reconstruction": 0},
]


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("part", OPTIONS, ids=str)
def test_contract(part, check):
    hold(check, FUSIONS.parse(part))
