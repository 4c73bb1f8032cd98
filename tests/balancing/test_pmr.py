"""Prototypical rebalance: prototypes, ratios and losses written out by hand, over three steps."""

import pytest
import small_shop
import torch
from toy import BATCHES, CLASSES, NAMES, ByHand, data, descend, gradients, numbers_told, task

from fusionlab.balancing.contract import BALANCERS


class Prototypes:
    """Moving averages of the mean view of each class; one modality's."""

    def __init__(self, memory):
        self.memory, self.of = memory, {}

    def see(self, views, classes):
        for c in set(classes):
            mean = torch.stack([v for v, k in zip(views, classes, strict=True) if k == c]).mean(0)
            mean = mean.detach()
            if c in self.of:
                mean = self.memory * self.of[c] + (1 - self.memory) * mean
            self.of[c] = mean

    def chances(self, view):
        """Of each class that was seen, by its distance."""
        near = {c: torch.exp(-(view - p).norm()) for c, p in self.of.items()}
        return {c: value / sum(near.values()) for c, value in near.items()}


def by_hand(hand, rows, names, prototypes):
    """The mean loss and certainty of each modality, after its prototypes have seen the batch."""
    losses, certain = {}, {}
    for name in names:
        has = [row for row in rows.tolist() if hand.features.mask[name][row, 0]]
        views = [hand.w[name] @ hand.features.values[name][row, 0] + hand.b[name] for row in has]
        classes = [int(hand.classes[row]) for row in has]
        prototypes[name].see(views, classes)
        right = [prototypes[name].chances(v)[c] for v, c in zip(views, classes, strict=True)]
        losses[name] = -torch.stack(right).log().mean()
        certain[name] = torch.stack(right).mean().item()
    return losses, certain


def weights(certain, alpha):
    found = {}
    for name, own in certain.items():
        others = [certain[other] for other in certain if other != name]
        found[name] = alpha * min(max(sum(others) / len(others) / own - 1, 0), 1)
    return found


@pytest.mark.parametrize("m", [2, 3])
def test_steps_are_those_of_the_paper(m):
    names, prototypes = NAMES[:m], {name: Prototypes(0.6) for name in NAMES}
    of = task(m, name="pmr", alpha=1.5, memory=0.6)
    slow = set()
    for rows in (BATCHES[0][:2], *BATCHES):  # in the first not all classes are there
        hand = ByHand(of)
        losses, certain = by_hand(hand, rows, names, prototypes)
        expected = weights(certain, 1.5)
        total = hand.loss(rows, names) + sum(expected[name] * losses[name] for name in names)
        parameters = dict(of.model.named_parameters())
        by_name = torch.autograd.grad(total, [*parameters.values()])
        for (name, found), one in zip(gradients(of, rows).items(), by_name, strict=True):
            torch.testing.assert_close(found, one, msg=name)
        assert numbers_told(of) == pytest.approx(
            {f"weight.{n}": w for n, w in expected.items()}, rel=1e-4
        )
        slow |= {name for name in names if expected[name]}
        descend(of)
    assert slow
    for place, name in enumerate(names):
        for c, prototype in prototypes[name].of.items():
            torch.testing.assert_close(of.balancer.prototypes[place, c], prototype)


def test_a_modality_far_behind_weighs_alpha_and_no_more():
    of, classes = task(3, name="pmr", alpha=1.5), data(3)[1].tolist()
    rows = torch.tensor([classes.index(c) for c in range(CLASSES)])  # one of each
    with torch.no_grad():
        for name, size in (("text", 10.0), ("image", 10.0), ("audio", 0.0)):
            getattr(of.model.fusion.project, name).weight.mul_(size)
    hand, prototypes = ByHand(of), {name: Prototypes(0.9) for name in NAMES}
    _, certain = by_hand(hand, rows, NAMES, prototypes)
    assert (certain["text"] + certain["image"]) / 2 / certain["audio"] > 2.5
    gradients(of, rows)
    told = {"weight.text": 0, "weight.image": 0, "weight.audio": 1.5}
    assert numbers_told(of) == pytest.approx(told)


def test_an_interrupted_run_goes_on_with_its_prototypes():
    of, fresh = task(3, name="pmr"), BALANCERS.parse("pmr").build(NAMES)
    fresh.load_state_dict(of.balancer.state_dict())  # before the first step
    gradients(of, BATCHES[0])
    fresh.load_state_dict(of.balancer.state_dict())
    assert fresh.prototypes.shape == (3, CLASSES, 4)
    found = gradients(of, BATCHES[1])
    of.balancer = fresh
    for name, gradient in gradients(of, BATCHES[1]).items():
        assert torch.equal(gradient, found[name])


def test_a_modality_that_no_example_has_costs_nothing():
    of = task(3, name="pmr")
    found = gradients(of, torch.tensor([3]))  # it has no text
    assert numbers_told(of)["weight.text"] == 0
    assert all(g.isfinite().all() for g in found.values() if g is not None)
    assert of.balancer.seen.tolist() == [
        [name != "text" and c == int(data(3)[1][3]) for c in range(CLASSES)] for name in NAMES
    ]
    gradients(of, BATCHES[0])
    assert of.balancer.seen.any(1).all()


def test_in_ranking_the_users_view_is_the_prototype():
    of = small_shop.task({"name": "pmr", "alpha": 2.0}, items=small_shop.features(3))
    step = of.step(small_shop.batch(of), torch.Generator())
    certain, losses = {}, {}
    for name in NAMES:
        said = step.said[frozenset({name})]
        distance = (said.views - said.query[:, None]).square().sum((2, 3)).sqrt()
        apart = distance[:, 1:] - distance[:, :1]
        counted = said.counted
        assert not counted.all()
        certain[name] = torch.sigmoid(apart).mean(1)[counted].mean().item()
        losses[name] = -torch.nn.functional.logsigmoid(apart).mean(1)[counted].mean().item()
    expected = weights(certain, 2.0)
    loss = of.balancer.loss(step)
    added = sum(expected[name] * losses[name] for name in NAMES)
    assert max(expected.values()) > 0
    assert (loss - step.joint).item() == pytest.approx(added, rel=1e-3, abs=1e-6)
    slowest = min(certain, key=certain.get)
    (loss - step.joint).backward(retain_graph=True)
    moved = {n for n, p in of.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert f"fusion.project.{slowest}.weight" in moved
    assert "tastes.weight" in dict(of.model.named_parameters())
    assert "tastes.weight" not in moved  # as no gradient flows into prototypes
