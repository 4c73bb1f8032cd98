"""What coalitions say: one pass or many, with gradients or without, clicks or classes."""

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, data, task

from fusionlab.balancing import coalitions
from fusionlab.balancing.coalitions import fuse_coalitions
from fusionlab.fusion.contract import FUSIONS, specimen

SETS = [frozenset({"text"}), frozenset({"image", "audio"}), frozenset(NAMES)]


@pytest.mark.parametrize("limit", ["NARROW", "FEW"])
@pytest.mark.parametrize("name", FUSIONS.names())
def test_one_pass_is_as_good_as_many(name, limit, monkeypatch):
    features, _ = data(3)
    torch.manual_seed(0)
    fusion = specimen(name).build(features.specs, 8).eval()
    fusion.fit(features)
    at_once = fuse_coalitions(fusion, features, SETS)
    monkeypatch.setattr(coalitions, limit, 0)
    for one, other in zip(at_once, fuse_coalitions(fusion, features, SETS), strict=True):
        torch.testing.assert_close(one.views, other.views, atol=1e-5, rtol=1e-5)
        assert torch.equal(one.present, other.present)


def test_a_coalition_says_what_it_says_alone():
    of = task(3, name="unimodal_losses")
    for rows in BATCHES:
        step, hand = of.step(rows, torch.Generator()), ByHand(of)
        for name in NAMES:
            one = frozenset({name})
            assert step.loss(one).item() == pytest.approx(hand.loss(rows, [name]).item())
            assert step.certainty(one).item() == pytest.approx(hand.certainty(rows, [name]))
            lacks = [row for row in rows.tolist() if not data(3)[0].mask[name][row, 0]]
            assert (~step.said[one].counted).sum() == len(lacks)


def test_gradients_flow_only_where_the_balancer_trains_on_coalitions():
    trained = task(2, name="unimodal_losses").step(BATCHES[0], torch.Generator())
    one = frozenset({"text"})
    assert trained.said[one].scores.requires_grad
    for name in ("ogm_ge", "opm", "agm"):
        heard = task(2, name=name).step(BATCHES[0], torch.Generator())
        assert not heard.said[one].scores.requires_grad


def test_a_coalition_that_no_example_has_costs_nothing():
    of = task(2, name="unimodal_losses")
    step = of.step(torch.tensor([3]), torch.Generator())  # it has no text
    assert step.loss(frozenset({"text"})).item() == 0
    of.balancer.backward(step)
    assert all(p.grad is None or p.grad.isfinite().all() for p in of.model.parameters())
