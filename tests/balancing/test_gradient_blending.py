"""Gradient blending, against its rule written out by hand, over two steps and over epochs."""

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, descend, gradients, numbers_told, task

from fusionlab.balancing.contract import Epoch


def epoch(of, number, train, valid):
    """An epoch with the losses of all together, then of each modality."""
    keys = of.balancer.coalitions
    return Epoch(number, dict(zip(keys, train, strict=True)), dict(zip(keys, valid, strict=True)))


def blended(first, second):
    """G / O^2 with the sum one, from two checkpoints (train, valid)."""
    (train_0, valid_0), (train_1, valid_1) = first, second
    rows = zip(train_0, valid_0, train_1, valid_1, strict=True)
    raw = [(v0 - v1) / ((v1 - t1) - (v0 - t0)) ** 2 for t0, v0, t1, v1 in rows]
    return [one / sum(raw) for one in raw]


def weights(of):
    return [*numbers_told(of).values()]


@pytest.mark.parametrize("m", [2, 3])
def test_two_steps_before_and_after_two_checkpoints(m):
    of, names = task(m, name="gradient_blending", every=2), NAMES[:m]
    first = [1.0, 1.1, 1.2, 1.3][: m + 1], [1.05, 1.2, 1.25, 1.4][: m + 1]
    second = [0.6, 0.8, 0.9, 1.0][: m + 1], [0.8, 1.1, 1.15, 1.3][: m + 1]
    expected = [1 / (m + 1)] * (m + 1)
    for number, rows in enumerate(BATCHES):
        hand = ByHand(of)
        losses = [hand.loss(rows, names), *(hand.loss(rows, [name]) for name in names)]
        total = sum(w * one for w, one in zip(expected, losses, strict=True))
        plain = torch.autograd.grad(total, [*of.model.parameters()])
        for (name, gradient), before in zip(gradients(of, rows).items(), plain, strict=True):
            torch.testing.assert_close(gradient, before, msg=name)
        descend(of)
        if number == 0:
            of.balancer.after_epoch(epoch(of, 1, *second))  # no checkpoint
            of.balancer.after_epoch(epoch(of, 2, *first))
            assert weights(of) == pytest.approx(expected)
            of.balancer.after_epoch(epoch(of, 4, *second))
            expected = blended(first, second)
            assert weights(of) == pytest.approx(expected, rel=1e-4)
    assert sum(weights(of)) == pytest.approx(1)


@pytest.mark.parametrize("m", [2, 3])
def test_a_third_checkpoint_is_weighed_against_the_second(m):
    of = task(m, name="gradient_blending", every=1)
    courses = (
        ([1.0, 1.1, 1.2, 1.3], [1.05, 1.2, 1.25, 1.4]),
        ([0.6, 0.8, 0.9, 1.0], [0.8, 1.1, 1.15, 1.3]),
        ([0.4, 0.5, 0.7, 0.7], [0.7, 0.9, 1.05, 1.15]),
    )
    first, second, third = ((t[: m + 1], v[: m + 1]) for t, v in courses)
    for number, (train, valid) in enumerate((first, second, third), 1):
        of.balancer.after_epoch(epoch(of, number, train, valid))
    expected = blended(second, third)
    assert weights(of) == pytest.approx(expected, rel=1e-4)
    assert weights(of) != pytest.approx(blended(first, third), rel=1e-2)


def after(train, valid):
    """Weights of two modalities after these losses, from losses of one and no gap."""
    of = task(2, name="gradient_blending", every=1)
    of.balancer.after_epoch(epoch(of, 1, [1.0] * 3, [1.0] * 3))
    of.balancer.after_epoch(epoch(of, 2, train, valid))
    return weights(of)


def test_a_loss_that_did_not_fall_gets_no_weight():
    found = after([0.5, 0.5, 0.9], [0.8, 1.1, 1.0])
    assert found == pytest.approx([1, 0, 0])


def test_where_none_fell_the_weights_stay():
    assert after([0.5, 0.5, 0.9], [1.0, 1.1, 1.3]) == pytest.approx([1 / 3] * 3)


def test_overfitting_that_is_little_or_negative_counts_as_a_tenth_of_the_largest():
    # O: 0.4, -0.1 and 0.02, of which the last two count as 0.04; G: 0.1, 0.2, 0.3
    found = after([0.5, 0.9, 0.68], [0.9, 0.8, 0.7])
    raw = [0.1 / 0.4**2, 0.2 / 0.04**2, 0.3 / 0.04**2]
    assert found == pytest.approx([one / sum(raw) for one in raw], rel=1e-4)


def test_where_nothing_overfits_gain_alone_counts():
    assert after([0.9, 0.8, 0.7], [0.9, 0.8, 0.7]) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
