"""Balancers that weight losses, against sums written out by hand, over two steps."""

import math

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, descend, gradients, numbers_told, task


def hand_gradients(of, loss):
    names, parameters = zip(*of.model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def assert_two_steps(of, loss):
    """``loss`` (ByHand, rows, step) gives the gradients that the balancer leaves, twice."""
    for number, rows in enumerate(BATCHES):
        expected = hand_gradients(of, loss(ByHand(of), rows, number))
        found = gradients(of, rows)
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, expected[name], msg=name)
        descend(of)


@pytest.mark.parametrize("m", [2, 3])
def test_none_is_the_joint_loss(m):
    names = NAMES[:m]
    assert_two_steps(task(m, name="none"), lambda hand, rows, _: hand.loss(rows, names))


@pytest.mark.parametrize("m", [2, 3])
def test_unimodal_losses_are_added(m):
    names = NAMES[:m]

    def loss(hand, rows, _):
        return hand.loss(rows, names) + 0.7 * sum(hand.loss(rows, [name]) for name in names)

    assert_two_steps(task(m, name="unimodal_losses", weight=0.7), loss)


@pytest.mark.parametrize("m", [2, 3])
def test_fixed_weights_are_each_modalitys_own(m):
    names = NAMES[:m]

    def loss(hand, rows, _):
        return hand.loss(rows, names) + 2.5 * hand.loss(rows, ["image"])

    assert_two_steps(task(m, name="fixed_weights", weight={"image": 2.5}), loss)


@pytest.mark.parametrize("m", [2, 3])
def test_inverse_speed_gives_more_to_what_is_left(m):
    names, first, average = NAMES[:m], {}, {}

    def loss(hand, rows, number):
        alone = {name: hand.loss(rows, [name]) for name in names}
        for name, value in alone.items():
            value = value.item()
            first.setdefault(name, value)
            average[name] = value if not number else 0.6 * average[name] + 0.4 * value
        left = {name: (average[name] / first[name]) ** 1.5 for name in names}
        mean = sum(left.values()) / m
        return hand.loss(rows, names) + sum(0.5 * left[name] / mean * alone[name] for name in names)

    of = task(m, name="inverse_speed", weight=0.5, alpha=1.5, memory=0.6)
    assert_two_steps(of, loss)
    told = numbers_told(of)
    assert sum(told.values()) == pytest.approx(0.5 * m)
    slowest = max(names, key=lambda name: average[name] / first[name])
    assert max(told, key=told.get) == f"weight.{slowest}"


def test_inverse_speed_begins_with_the_first_step_that_has_the_modality():
    of = task(3, name="inverse_speed", weight=0.5, alpha=1.5, memory=0.6)
    first, average = {}, {}
    rows = (
        torch.tensor([3]),
        BATCHES[0],
        torch.tensor([7]),
        BATCHES[1],
    )  # of 3 no text, of 7 no image
    for some in rows:
        hand = ByHand(of)
        for name in NAMES:
            if (value := hand.loss(some, [name]).item()) == value:
                average[name] = 0.6 * average[name] + 0.4 * value if name in first else value
                first.setdefault(name, value)
        left = {name: (average[name] / first[name]) ** 1.5 for name in first}
        told = {f"weight.{n}": 0.5 * x * len(left) / sum(left.values()) for n, x in left.items()}
        gradients(of, some)
        assert numbers_told(of) == pytest.approx({"weight.text": 0.0} | told)
        descend(of)


def test_uncertainty_rests_where_no_example_has_the_modality():
    """Its weight would grow without bound: there is no loss that would hold it."""
    of = task(3, name="uncertainty")
    for _ in range(20):
        of.balancer.zero_grad()
        gradients(of, torch.tensor([3]))  # it has no text
        with torch.no_grad():
            of.balancer.log_variance -= 0.5 * of.balancer.log_variance.grad
    joint, text, image, audio = of.balancer.log_variance.tolist()
    assert text == 0
    assert 0 not in (joint, image, audio)


@pytest.mark.parametrize("m", [2, 3])
def test_uncertainty_learns_its_weights(m):
    names = NAMES[:m]
    of = task(m, name="uncertainty")
    s = [0.0] * (m + 1)

    def loss(hand, rows, number):
        losses = [hand.loss(rows, names), *(hand.loss(rows, [name]) for name in names)]
        total = sum(math.exp(-s[i]) * one for i, one in enumerate(losses))
        for i, one in enumerate(losses):
            s[i] -= 0.5 * (0.5 - math.exp(-s[i]) * one.item())
        return total

    for number, rows in enumerate(BATCHES):
        of.balancer.zero_grad()
        expected = hand_gradients(of, loss(ByHand(of), rows, number))
        for name, gradient in gradients(of, rows).items():
            torch.testing.assert_close(gradient, expected[name], msg=name)
        descend(of)
        with torch.no_grad():
            of.balancer.log_variance -= 0.5 * of.balancer.log_variance.grad
        assert of.balancer.log_variance.tolist() == pytest.approx(s, rel=1e-5)
