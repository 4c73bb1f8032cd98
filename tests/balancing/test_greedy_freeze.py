"""Freezing by conditional learning speed, against its rule written out by hand."""

import math

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, numbers_told, own, task

from fusionlab.training.optimizer import EagerAdamW


def relative(hand, parameters, loss):
    found = torch.autograd.grad(loss, parameters, retain_graph=True)
    size = sum(p.square().sum().item() for p in parameters)
    return sum(g.square().sum().item() for g in found) / size


def step(of, optimizer, rows):
    """One step of AdamW; which modalities' own parameters moved."""
    before = {n: [p.detach().clone() for p in own(of, n).values()] for n in of.features.modalities}
    taken = of.step(rows, torch.Generator())
    optimizer.zero_grad()
    of.balancer.backward(taken)
    of.balancer.update(taken, optimizer.step)
    return {
        name
        for name, parts in before.items()
        if not all(map(torch.equal, parts, own(of, name).values()))
    }


@pytest.mark.parametrize("m", [2, 3])
def test_the_faster_modality_rests_and_then_learns_again(m):
    names = NAMES[:m]
    of = task(m, name="greedy_freeze", threshold=0.05, steps=2)
    optimizer = EagerAdamW(of.model.parameters(), lr=0.05, weight_decay=0.1)
    speed, left, resting, rested = dict.fromkeys(names, 0.0), 0, None, 0
    for rows in BATCHES * 4:
        hand = ByHand(of)
        loss = hand.loss(rows, names)
        expected = set(names)
        if left:
            expected -= {resting}
            left, rested = left - 1, rested + 1
        else:
            for name in names:
                speed[name] += relative(hand, [*own(of, name).values()], loss)
            shared = 1.0  # whatever it is, it cancels
            slowness = {name: math.log(shared / v) for name, v in speed.items()}
            if max(slowness.values()) - min(slowness.values()) > 0.05:
                resting, left = min(slowness, key=slowness.get), 2
        assert step(of, optimizer, rows) == expected
        told = {f"rest.{name}": float(name not in expected) for name in names}
        told |= {f"log_v.{name}": math.log(v) for name, v in speed.items()}
        assert numbers_told(of) == pytest.approx(told, rel=1e-4)
    assert rested


def test_below_the_threshold_all_learn():
    of = task(2, name="greedy_freeze", threshold=50)
    optimizer = EagerAdamW(of.model.parameters(), lr=0.05)
    for rows in BATCHES * 2:
        assert step(of, optimizer, rows) == {"text", "image"}


def test_a_modality_that_no_example_has_takes_no_part():
    of = task(2, name="greedy_freeze", threshold=0.01)
    optimizer = EagerAdamW(of.model.parameters(), lr=0.05)
    for _ in range(3):
        step(of, optimizer, torch.tensor([3]))  # it has no text
    assert numbers_told(of).keys() == {"log_v.image", "rest.text", "rest.image"}
    assert not of.balancer.left
