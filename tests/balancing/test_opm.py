"""Prediction modulation, against its rule written out by hand, over two steps."""

import math

import pytest
import torch
import torch.nn.functional as F
from toy import BATCHES, NAMES, ByHand, data, descend, gradients, numbers_told, task


def chances(hand, rows, names, q, alpha):
    certain = {name: hand.certainty(rows, [name]) for name in names}
    found = {}
    for name in names:
        others = [certain[other] for other in names if other != name]
        ratio = certain[name] / (sum(others) / len(others))
        found[name] = min(1, q * (1 + alpha * math.tanh(ratio - 1))) if ratio > 1 else 0.0
    return found


def heard_by(rows, names, chance):
    """What each item keeps, by the draws of the default generator."""
    draws = torch.rand(len(rows), len(names), generator=torch.Generator()).tolist()
    mask, kept = data(len(names))[0].mask, []
    for row, draw in zip(rows.tolist(), draws, strict=True):
        there = {n: u for n, u in zip(names, draw, strict=True) if mask[n][row, 0]}
        left = [n for n, u in there.items() if u >= chance[n]]
        kept.append(left or [max(there, key=there.get)])
    return kept


@pytest.mark.parametrize("m", [2, 3])
def test_the_modality_that_was_ahead_is_kept_from_some_items(m):
    of, names = task(m, name="opm", q=0.35, alpha=0.9), NAMES[:m]
    chance, taken = dict.fromkeys(names, 0.0), 0
    for rows in BATCHES:
        hand = ByHand(of)
        kept = heard_by(rows, names, chance)
        taken += sum(len(names) - len(left) for left in kept)
        logits = torch.cat([hand.logits(rows[i : i + 1], left)[0] for i, left in enumerate(kept)])
        plain = torch.autograd.grad(
            F.cross_entropy(logits, hand.classes[rows]),
            [*of.model.parameters()],
            materialize_grads=True,
        )
        chance = chances(hand, rows, names, 0.35, 0.9)
        for (name, gradient), before in zip(gradients(of, rows).items(), plain, strict=True):
            torch.testing.assert_close(gradient, before, msg=name)
        told = numbers_told(of)
        assert told == pytest.approx({f"dropped.{n}": p for n, p in chance.items()})
        assert max(chance.values()) > 0
        assert min(chance.values()) == 0
        descend(of)
    lacking = sum((~data(m)[0].mask[n][rows, 0]).sum().item() for rows in BATCHES for n in names)
    assert taken > lacking  # something was dropped that was there


def test_no_item_loses_its_last_modality():
    of = task(2, name="opm", q=1)
    of.balancer.rate.copy_(torch.tensor([1.0, 1.0]))
    features = data(2)[0]
    left = of.balancer.inputs(features, torch.Generator())
    count = sum(left.present(name).int() for name in left.modalities)
    assert (count == 1).all()


def test_a_modality_that_no_example_has_is_not_compared():
    of, rows = task(3, name="opm", q=0.35, alpha=0.9), torch.tensor([3])  # it has no text
    gradients(of, rows)
    expected = chances(ByHand(of), rows, ("image", "audio"), 0.35, 0.9)
    told = {f"dropped.{name}": p for name, p in (expected | {"text": 0.0}).items()}
    assert numbers_told(of) == pytest.approx(told)
    assert max(expected.values()) < 0.35 * 1.9  # nobody is infinitely far ahead
