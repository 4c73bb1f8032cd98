"""Losses that balancers are made of have true gradients: analytic beside numeric, in float64.

Where coefficients come from what is measured no gradient flows through them; what such a balancer
leaves is compared with its rule, written out by hand, in its own file.
"""

import pytest
import small_shop
import torch
from torch.func import functional_call
from toy import BATCHES, task

from fusionlab.balancing.contract import BALANCERS

CONSTANT = {
    "none": {},
    "unimodal_losses": {"weight": 0.7},
    "fixed_weights": {"weight": {"text": 0.3, "image": 1.2}},
    "uncertainty": {},
    "gradient_blending": {},
    "opm": {},
    "modality_dropout": {},
}
"""Balancers that minimise a loss with coefficients that no measurement moves within a step."""


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def ranking(balancer):
    of = small_shop.task(balancer)
    batch = small_shop.batch(of)
    return of, lambda: of.step(batch, torch.Generator().manual_seed(1))


def classes(balancer):
    of = task(2, **balancer)
    return of, lambda: of.step(BATCHES[0], torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [ranking, classes])
@pytest.mark.parametrize("name", BALANCERS.names())
def test_every_balancer_keeps_float64(name, kind):
    of, step = kind({"name": name, **CONSTANT.get(name, {})})
    of.balancer.backward(step())
    found = [p.grad for p in of.model.parameters() if p.grad is not None]
    assert found
    assert all(one.dtype == torch.float64 and one.isfinite().all() for one in found)


def is_true(of, compute):
    """gradcheck of ``compute`` by every parameter of model and balancer."""
    whole = torch.nn.ModuleList([of.model, of.balancer])
    named = {name: x for name, x in whole.named_parameters() if x.requires_grad}
    given = [x.detach().clone().requires_grad_() for x in named.values()]

    class Computed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = whole

        def forward(self):
            torch.manual_seed(0)
            return compute()

    def computed(*values):
        state = {f"whole.{name}": x for name, x in zip(named, values, strict=True)}
        return functional_call(Computed(), state, ())

    return torch.autograd.gradcheck(computed, given, eps=1e-6, atol=1e-7, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("kind", [ranking, classes])
@pytest.mark.parametrize("name", CONSTANT)
def test_the_gradient_of_what_is_minimised_is_true(name, kind):
    of, step = kind({"name": name, **CONSTANT[name]})
    assert is_true(of, lambda: of.balancer.loss(step()))


@pytest.mark.parametrize("kind", [ranking, classes])
@pytest.mark.parametrize("name", ["unimodal_losses", "mmpareto", "pmr"])
def test_gradients_of_what_coalitions_say_are_true(name, kind):
    of, step = kind({"name": name})

    def losses():
        heard = step()
        return (heard.joint, *(heard.loss(one) for one in of.balancer.coalitions))

    assert is_true(of, losses)


def test_all_others_measure_what_they_do():
    """They are held against their rules in files of their own."""
    assert set(BALANCERS.names()) - CONSTANT.keys() == {
        "agm",
        "balanced_resampling",
        "counterfactual_distillation",
        "gradnorm",
        "greedy_freeze",
        "inverse_speed",
        "mmpareto",
        "mslr",
        "ogm_ge",
        "pmr",
    }
