"""Counterfactual distillation: weights, distances and teachers written out by hand, two steps."""

from types import SimpleNamespace

import pytest
import small_shop
import torch
import torch.nn.functional as F
from toy import BATCHES, CLASSES, NAMES, ByHand, data, descend, numbers_told, task

from fusionlab.fusion.contract import FUSIONS

NAME = "counterfactual_distillation"
WEIGHT, GENERIC, HOT = 0.7, 0.4, 0.5
OPTIONS = {"name": NAME, "weight": WEIGHT, "generic": GENERIC, "temperature": HOT}


def biased(m, **options):
    """A task whose logits have a bias: without one all effects of a sum are alike."""
    of = task(m, **OPTIONS, **options)
    with torch.no_grad():
        of.model.bias.copy_(torch.randn(of.model.bias.shape, generator=torch.Generator()) / 5)
    return of


def margin(logits, right):
    """Of the right class above the mean of the others."""
    return (logits[right] - (logits.sum() - logits[right]) / (CLASSES - 1)).item()


def weights(hand, rows, names, mask):
    """rho by row and modality, for the modalities that the item has."""
    found, right = [], hand.classes[rows].tolist()
    whole = hand.logits(rows, names)[0]
    for place, row in enumerate(rows.tolist()):
        has, effect = [name for name in names if mask[name][row, 0]], {}
        for name in has:
            rest = hand.logits(rows, [other for other in names if other != name])[0][place]
            own = hand.logits(rows, [name])[0][place]
            k = right[place]
            fell = margin(whole[place], k) - margin(rest, k)
            effect[name] = min(max(fell / margin(own, k), 1e-8), 10)
        m = len(has)
        total = sum(effect.values())
        found.append({n: m / (m - 1) * (1 - e / total) if m > 1 else 1 for n, e in effect.items()})
    return found


def distance(teacher, student, right):
    """Of one row's logits; nothing flows into the teacher."""
    teacher = teacher.detach()
    behind = 0
    for other in range(CLASSES):
        if other != right:
            gap = (teacher[right] - teacher[other]) - (student[right] - student[other])
            behind = behind + torch.relu(gap) / (CLASSES - 1)
    soft = torch.exp(teacher / HOT) / torch.exp(teacher / HOT).sum()
    said = torch.log(torch.exp(student / HOT) / torch.exp(student / HOT).sum())
    return behind - GENERIC * (soft * said).sum()


def mean(values, name, rows, mask):
    has = [v for v, row in zip(values, rows.tolist(), strict=True) if mask[name][row, 0]]
    return sum(has) / len(has)


def by_hand(of, rows, names, mutual):
    """The model's loss, that of its teachers, and the mean weights."""
    mask = data(len(names))[0].mask
    hand = ByHand(of)
    rho, told = weights(hand, rows, names, mask), {}
    total, teaching = hand.loss(rows, names), 0
    for name, model in of.balancer.teachers.items():
        teacher = ByHand(SimpleNamespace(model=model, features=of.features))
        right = hand.classes[rows].tolist()
        t, s = teacher.logits(rows, [name])[0], hand.logits(rows, [name])[0]
        apart = [rho[b].get(name, 0) * distance(t[b], s[b], k) for b, k in enumerate(right)]
        total = total + WEIGHT * mean(apart, name, rows, mask)
        own = teacher.loss(rows, [name])
        told[f"teacher_loss.{name}"] = own.item()
        told[f"weight.{name}"] = mean([one.get(name) for one in rho], name, rows, mask)
        if mutual:
            back = [distance(s[b], t[b], k) for b, k in enumerate(right)]
            own = own + WEIGHT * mean(back, name, rows, mask)
        teaching = teaching + own
    return total, teaching, told


@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("m", [2, 3])
def test_steps_are_those_of_the_formula(m, mutual):
    of, names = biased(m, mutual=mutual), NAMES[:m]
    both = torch.nn.ModuleList([of.model, of.balancer])
    for rows in BATCHES:
        total, teaching, told = by_hand(of, rows, names, mutual)
        parameters = dict(both.named_parameters())
        expected = torch.autograd.grad(
            total + teaching, [*parameters.values()], materialize_grads=True, allow_unused=True
        )
        both.zero_grad(set_to_none=True)
        loss = of.balancer.backward(of.step(rows, torch.Generator()))
        assert loss.item() == pytest.approx(total.item(), rel=1e-5)
        for (name, parameter), one in zip(parameters.items(), expected, strict=True):
            found = torch.zeros_like(one) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(found, one, msg=name)
        assert numbers_told(of) == pytest.approx(told, rel=1e-4)
        assert len({round(x, 4) for n, x in told.items() if n.startswith("weight")}) > 1
        descend(of)
        descend(SimpleNamespace(model=of.balancer), rate=2.0)  # teachers run ahead


def test_with_two_modalities_the_weights_are_the_papers():
    of = biased(2)
    step = of.step(torch.tensor([0, 1, 2, 4]), torch.Generator())  # they have both
    rho = of.balancer._weigh(step)
    right = step.right[:, None]

    def ahead(said):
        own = said.scores.gather(1, right)[:, 0]
        return own - (said.scores.sum(1) - own) / (CLASSES - 1)

    text, image = (ahead(step.said[one]) for one in of.balancer.alone)
    joint = ahead(step.said[of.balancer.together])
    of_text = ((joint - image) / text).clamp(1e-8, 10)
    of_image = ((joint - text) / image).clamp(1e-8, 10)
    expected = 1 - (of_text - of_image) / (of_text + of_image)
    assert expected.std() > 0.01
    torch.testing.assert_close(rho[0], expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(rho[1], 2 - expected, rtol=1e-3, atol=1e-3)


def test_in_ranking_the_generic_part_is_about_what_others_clicked():
    of = small_shop.task(OPTIONS)
    step = of.step(small_shop.batch(of), torch.Generator())
    moved = step.taught
    with torch.no_grad():
        for parameter in of.balancer.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator())
    step = of.step(small_shop.batch(of), torch.Generator())
    for one in of.balancer.alone:
        teacher, student = step.taught[one], step.said[one]
        assert not torch.equal(teacher.scores, moved[one].scores)
        counted = student.counted
        assert 0 < counted.sum() < len(counted)
        pairs = []
        for said in (teacher, student):
            seen = (said.query[:, None] * said.views.roll(1, 0)).sum((2, 3))
            torch.testing.assert_close(said.elsewhere(), seen)
            pairs.append((seen[:, 0] - seen[:, 1]) / HOT)
        p, q = pairs[0].sigmoid(), pairs[1].sigmoid()  # with one drawn item as published
        generic = -(p * q.log() + (1 - p) * (1 - q).log())
        gaps = [said.scores[:, 0] - said.scores[:, 1] for said in (teacher, student)]
        expected = torch.relu(gaps[0] - gaps[1]) + GENERIC * generic
        found = of.balancer._distance(step, teacher, student)
        torch.testing.assert_close(found, expected)
    rho = of.balancer._weigh(step)
    counted = torch.stack([step.said[one].counted for one in of.balancer.alone])
    both = counted.all(0)
    torch.testing.assert_close(rho.sum(0)[both], torch.full((int(both.sum()),), 2.0))
    assert (rho[:, ~both] == 1).all()


@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_teachers_are_models_of_their_own(fusion):
    of = task(3, fusion, **OPTIONS)
    of.model.eval()
    of.balancer.eval()  # nothing is sampled
    before = of.step(BATCHES[0], torch.Generator().manual_seed(0))
    for one, said in before.taught.items():
        torch.testing.assert_close(said.scores, before.said[one].scores, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        for parameter in of.model.parameters():
            parameter.add_(0.1)
    after = of.step(BATCHES[0], torch.Generator().manual_seed(0))
    for one, said in after.taught.items():
        assert torch.equal(said.scores, before.taught[one].scores)
    ids = {id(p) for p in of.model.parameters()}
    assert not ids & {id(p) for p in of.balancer.parameters() if p.requires_grad}


def test_a_modality_that_no_example_has_is_not_distilled():
    of = task(3, **OPTIONS)
    loss = of.balancer.backward(of.step(torch.tensor([3]), torch.Generator()))  # it has no text
    assert loss.isfinite()
    assert numbers_told(of)["weight.text"] == 0
    teacher = of.balancer.teachers["text"]
    assert not any(p.grad is not None and p.grad.any() for p in teacher.parameters())


def test_the_fitted_and_the_frozen_are_not_lost_in_a_copy():
    of = task(2, **OPTIONS)
    soft = F.softmax(of.step(BATCHES[0], torch.Generator()).taught[frozenset({"text"})].scores, 1)
    state = of.balancer.state_dict()
    fresh = task(2, **OPTIONS)
    with torch.no_grad():
        for parameter in fresh.balancer.parameters():
            parameter.zero_()
    fresh.balancer.load_state_dict(state)
    step = fresh.step(BATCHES[0], torch.Generator())
    assert torch.equal(F.softmax(step.taught[frozenset({"text"})].scores, 1), soft)
