"""Adaptive gradient modulation, against Shapley values over all orders of the modalities."""

import math
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from toy import BATCHES, NAMES, ByHand, data, descend, gradients, numbers_told, own, task

from fusionlab.balancing.contract import BALANCERS


def shapley(hand, rows, names):
    """What each modality adds to the logits where it joins those before it, a mean over orders."""

    def logits(coalition):
        found, there = hand.logits(rows, coalition)
        return torch.where(there[:, None], found, 0)

    found = dict.fromkeys(names, 0)
    orders = list(permutations(names))
    for order in orders:
        for place, name in enumerate(order):
            added = logits(order[: place + 1]) - logits(order[:place])
            found[name] = found[name] + added / len(orders)
    return found


def strengths(hand, rows, names):
    """s_m: the mean log-probability of the right class by what is the modality's own."""
    found = {}
    for name, phi in shapley(hand, rows, names).items():
        has = hand.features.mask[name][rows, 0]
        chances = F.log_softmax(phi, 1)[torch.arange(len(rows)), hand.classes[rows]]
        found[name] = chances[has].mean().item()
    return found


def ratios(s):
    return {
        name: math.exp(sum(own - s[other] for other in s if other != name) / (len(s) - 1))
        for name, own in s.items()
    }


def scales(of):
    return {key.removeprefix("scale."): value for key, value in numbers_told(of).items()}


def plain(of, rows, names):
    loss = ByHand(of).loss(rows, names)
    keys = [n for n, _ in of.model.named_parameters()]
    return dict(zip(keys, torch.autograd.grad(loss, [*of.model.parameters()]), strict=True))


@pytest.mark.parametrize("m", [2, 3])
def test_two_steps_are_those_of_the_paper(m):
    of, names, alpha = task(m, name="agm", alpha=0.7), NAMES[:m], 0.7
    mean = dict.fromkeys(names, 0.0)
    alike = torch.tensor([1, 2, 4, 6, 10])  # of the same shape as the first: nothing of it is left
    for number, rows in enumerate((*BATCHES, BATCHES[0], alike)):
        now = strengths(ByHand(of), rows, names)
        usual, r = ratios(mean), ratios(now)
        expected = {name: math.exp(alpha * (usual[name] - r[name])) for name in names}
        before, found = plain(of, rows, names), gradients(of, rows)
        assert scales(of) == pytest.approx(expected, rel=1e-4)
        scale_of = {n: expected[name] for name in names for n in own(of, name)}
        for n, gradient in found.items():
            torch.testing.assert_close(gradient, before[n] * scale_of.get(n, 1), msg=n)
        mean = {name: (number * mean[name] + now[name]) / (number + 1) for name in names}
        descend(of)


def test_the_modality_that_is_ahead_is_slowed_down():
    """Not the other way about: the sign of the exponent."""
    of, names = task(3, name="agm"), NAMES
    now = strengths(ByHand(of), BATCHES[0], names)
    gradients(of, BATCHES[0])
    found = scales(of)
    assert found[max(now, key=now.get)] < 1 < found[min(now, key=now.get)]
    assert sorted(names, key=now.get) == sorted(names, key=found.get, reverse=True)


def test_nothing_of_a_batch_is_left_but_the_running_means():
    """No score of an earlier batch is read again: a new balancer with the means goes on alike."""
    of, fresh = task(3, name="agm"), BALANCERS.parse("agm").build(NAMES)
    gradients(of, BATCHES[0])
    assert sum(one.numel() for one in of.balancer.state_dict().values()) == 9
    fresh.load_state_dict(of.balancer.state_dict())
    found = gradients(of, BATCHES[1])
    of.balancer = fresh
    for name, gradient in gradients(of, BATCHES[1]).items():
        assert torch.equal(gradient, found[name])
    again = task(3, name="agm")
    gradients(again, BATCHES[1])
    assert scales(again) != pytest.approx(scales(of))


def test_shapley_values_share_out_what_all_say_together():
    of, rows = task(3, name="agm"), torch.tensor([1, 3, 7])
    step = of.step(rows, torch.Generator())
    values = torch.stack(of.balancer.shapley(step))
    torch.testing.assert_close(values.sum(0), step.said[frozenset(NAMES)].scores)
    for name, value in zip(NAMES, values, strict=True):
        lacks = ~data(3)[0].mask[name][rows, 0]
        assert lacks.any() == (name != "audio")
        assert value[lacks].abs().sum() < 1e-6


def test_a_modality_that_no_example_has_is_neither_compared_nor_changed():
    of = task(3, name="agm")
    gradients(of, torch.tensor([3]))  # it has no text
    assert scales(of)["text"] == 1
    assert of.balancer.steps.tolist() == [0, 1, 1]
    s = strengths(ByHand(of), torch.tensor([3]), NAMES[1:])
    r = ratios(s)
    expected = {name: math.exp(1 - r[name]) for name in NAMES[1:]}
    assert {name: scales(of)[name] for name in NAMES[1:]} == pytest.approx(expected, rel=1e-4)


def test_a_probability_below_the_floor_counts_as_the_floor():
    """One example that text alone gives the wrong class by a thousand: -log 1e-8 of its loss."""
    of, rows = task(2, name="agm", alpha=0.01), BATCHES[0]
    with torch.no_grad():
        for name, parameter in of.model.named_parameters():
            if "text" in name:
                parameter.mul_(300)
    hand, floor = ByHand(of), -math.log(1e-8)
    means = {}
    for name, phi in shapley(hand, rows, NAMES[:2]).items():
        has = hand.features.mask[name][rows, 0]
        losses = F.cross_entropy(phi, hand.classes[rows], reduction="none")[has]
        if name == "text":
            assert losses.max() > 2 * floor
        means[name] = -losses.clamp(max=floor).mean().item()
    r = ratios(means)
    gradients(of, rows)
    expected = {name: min(math.exp(0.01 * (1 - r[name])), 10) for name in r}
    assert scales(of) == pytest.approx(expected, rel=1e-4)
    assert scales(of)["image"] < 0.99


def test_a_modality_that_is_lost_leaves_no_infinite_gradient():
    of = task(2, name="agm", alpha=5.0)
    for loud in ("text", "image"):
        with torch.no_grad():
            for name, parameter in of.model.named_parameters():
                parameter.copy_(torch.randn_like(parameter) * (1e3 if loud in name else 1e-3))
        assert all(g.isfinite().all() for g in gradients(of, BATCHES[0]).values())
    assert max(scales(of).values()) <= 10
