"""Joint and unimodal gradients in agreement, in conflict, and straight against each other."""

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, descend, gradients, numbers_told, own, task

from fusionlab.balancing.mmpareto import pareto_weights


def flat(gradients):
    return torch.cat([one.flatten() for one in gradients])


def by_hand(joint, alone):
    """The weight of the joint gradient, and what becomes of both."""
    product = sum(float(a) * float(b) for a, b in zip(joint, alone, strict=True))
    if product >= 0:
        weight = 0.5
    else:  # the lowest point of |w j + (1 - w) u|^2, a parabola in w
        weight = float(alone @ (alone - joint)) / float((alone - joint) @ (alone - joint))
    mixed = weight * joint + (1 - weight) * alone
    return weight, mixed * ((joint + alone).norm() / mixed.norm())


def raise_voice(of):
    """Make the last modality so loud that it oversteps, and must go back where others need not."""
    name = of.balancer.modalities[-1]
    with torch.no_grad():
        dict(of.model.named_parameters())[f"fusion.project.{name}.weight"].mul_(6)


@pytest.mark.parametrize("m", [2, 3])
def test_two_steps_are_those_of_the_paper(m):
    names = NAMES[:m]
    of, weights = task(m, name="mmpareto"), []
    raise_voice(of)
    for rows in BATCHES:
        hand = ByHand(of)
        losses = [hand.loss(rows, names), sum(hand.loss(rows, [name]) for name in names)]
        keys = [n for n, _ in of.model.named_parameters()]
        joint, alone = (
            dict(zip(keys, torch.autograd.grad(loss, [*of.model.parameters()]), strict=True))
            for loss in losses
        )
        found = gradients(of, rows)
        for name in names:
            mine = list(own(of, name))
            weight, expected = by_hand(flat(joint[n] for n in mine), flat(alone[n] for n in mine))
            torch.testing.assert_close(flat(found[n] for n in mine), expected)
            assert numbers_told(of)[f"joint_weight.{name}"] == pytest.approx(weight, rel=1e-4)
            weights.append(weight)
        for shared in ("heads", "bias"):
            torch.testing.assert_close(found[shared], joint[shared] + alone[shared])
        descend(of)
    assert 0.5 in weights
    assert set(weights) != {0.5}


def test_weights_are_never_both_zero_and_sum_to_one():
    draw = torch.Generator().manual_seed(0)
    conflicts = 0
    for _ in range(500):
        joint, alone = torch.randn(2, 3, generator=draw) * 10 ** torch.randn(2, 1, generator=draw)
        found = pareto_weights(joint, alone)
        assert found.sum().item() == pytest.approx(1)
        assert (found >= 0).all()
        conflicts += bool(joint @ alone < 0)
        grid = torch.linspace(0, 1, 101)[:, None]
        mixed = (found[0] * joint + found[1] * alone).norm()
        if joint @ alone < 0:
            assert mixed <= (grid * joint + (1 - grid) * alone).norm(dim=1).min() + 1e-5
    assert 200 < conflicts < 300
    still = torch.zeros(3)
    for pair in ((still, still), (joint, still), (still, joint)):
        assert pareto_weights(*pair).tolist() == [0.5, 0.5]


def test_gradients_straight_against_each_other_leave_nothing():
    of = task(2, name="mmpareto")
    step = of.step(BATCHES[0], torch.Generator())
    alone = sum(step.loss(one) for one in of.balancer.coalitions)
    # 3 L_alone - L_alone is all that is left: -2 of what the modality wants by itself.
    opposed = type(step)(
        -3 * alone, step.fusion, step.losses, step.confidence, of.step(BATCHES[0], None).said
    )
    of.balancer.backward(opposed)
    for name in NAMES[:2]:
        assert numbers_told(of)[f"joint_weight.{name}"] == pytest.approx(0.25)
        for parameter in own(of, name).values():
            assert parameter.grad.abs().max() == 0


def test_a_modality_that_no_example_has_keeps_finite_gradients():
    of = task(2, name="mmpareto")
    found = gradients(of, torch.tensor([3]))  # it has no text
    assert all(gradient.isfinite().all() for gradient in found.values() if gradient is not None)
    assert found["fusion.project.text.weight"].abs().max() == 0
    assert found["fusion.project.image.weight"].abs().max() > 0
