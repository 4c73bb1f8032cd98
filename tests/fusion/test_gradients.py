"""Every strategy's gradients are those of what it computes: analytic beside numeric, in float64."""

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from fusionlab.fusion.checks import Subject
from fusionlab.fusion.contract import FUSIONS, specimen

FLOAT32_INSIDE = {
    "llm_prefix": "the language model and its standardised read-out keep float32",
}
"""Strategies that cannot be computed in float64, and why."""


def outputs(fusion, items):
    """All that a strategy returns which is differentiable: views, and its own loss term."""
    fused = fusion(items)
    return fused.views if fused.penalty is None else (fused.views, fused.penalty)


@pytest.mark.parametrize("name", sorted(set(FUSIONS.names()) - FLOAT32_INSIDE.keys()))
def test_gradients_in_features_and_parameters_are_true(name):
    subject = Subject(specimen(name), 3, torch.float64)
    fusion, items = subject.build(), subject.items(4)
    names = [key for key, x in fusion.named_parameters() if x.requires_grad]
    parameters = [fusion.get_parameter(key).detach().clone().requires_grad_() for key in names]
    computed = Computed(fusion)
    values = [x.clone().requires_grad_() for x in items.values.values()]

    def compute(*given):
        state = {f"of.{key}": x for key, x in zip(names, given[: len(names)], strict=True)}
        seen = dict(zip(items.values, given[len(names) :], strict=True))
        return functional_call(computed, state, replace(items, values=seen))

    assert torch.autograd.gradcheck(
        compute, (*parameters, *values), eps=1e-6, atol=1e-6, rtol=1e-4, fast_mode=True
    )


class Computed(torch.nn.Module):
    """A strategy as a function of its parameters."""

    def __init__(self, of):
        super().__init__()
        self.of = of

    def forward(self, items):
        return outputs(self.of, items)


def test_a_wrong_gradient_is_seen():
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="Jacobian"):
        torch.autograd.gradcheck(lambda x: x * x.detach(), (x,), fast_mode=True)
