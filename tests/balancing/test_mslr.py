"""Learning rates of modalities, against AdamW with a group a modality, over two steps."""

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, data, numbers_told, own, task

from fusionlab.balancing.contract import Epoch
from fusionlab.training.optimizer import EagerAdamW

RATE, DECAY = 0.05, 0.1


def trained(of, batches=BATCHES):
    """The parameters after AdamW's steps through the balancer."""
    optimizer = EagerAdamW(of.model.parameters(), lr=RATE, weight_decay=DECAY)
    for rows in batches:
        step = of.step(rows, torch.Generator())
        optimizer.zero_grad()
        of.balancer.backward(step)
        of.balancer.update(step, optimizer.step)
    return [p.detach().clone() for p in of.model.parameters()]


@pytest.mark.parametrize("m", [2, 3])
def test_steps_are_those_of_a_group_with_that_rate(m):
    names, factors = NAMES[:m], {"text": 3.0, "image": 0.25}
    of, other = task(m, name="mslr", keep=factors, dynamic=False), task(m, name="none")
    groups = [{"params": [*own(other, n).values()], "lr": RATE * factors.get(n, 1)} for n in names]
    groups.append(
        {
            "params": [
                hand_p for n, hand_p in other.model.named_parameters() if n in ("heads", "bias")
            ],
            "lr": RATE,
        }
    )
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    for rows in BATCHES:
        optimizer.zero_grad()
        ByHand(other).loss(rows, names).backward()
        optimizer.step()
    for found, expected in zip(trained(of), other.model.parameters(), strict=True):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


def test_the_common_rate_is_the_common_rate_to_the_bit():
    plain, same = trained(task(2, name="none")), trained(task(2, name="mslr"))
    for one, other in zip(plain, same, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("m", [2, 3])
def test_rates_follow_the_trend_of_validation(m):
    of = task(m, name="mslr", window=2, keep={"text": 2})
    course = [[1.0, 0.8, 0.5], [0.6, 0.9, 0.0], [0.5, 1.0, 0.4], [0.5, 1.2, 0.2]]
    for number, losses in enumerate(course, 1):
        valid = dict(zip(of.balancer.alone, losses, strict=False))
        of.balancer.after_epoch(Epoch(number, {}, valid | {of.balancer.together: 0.1}))
    expected = [2 * (0.8 / 0.6) * (0.5 / 0.5), (0.85 / 0.9) * (1.1 / 1.2), 1 * (0.3 / 0.2)][:m]
    assert [*numbers_told(of).values()] == pytest.approx(expected)


def test_kept_rates_are_kept_and_need_no_validation():
    of = task(2, name="mslr", window=1, keep={"text": 2}, dynamic=False)
    assert not of.balancer.validates
    of.balancer.after_epoch(Epoch(1))
    assert numbers_told(of) == {"rate.text": 2, "rate.image": 1}
    assert task(2, name="mslr").balancer.validates


def test_a_batch_without_the_modality_leaves_what_adamw_leaves():
    lacking = torch.tensor([next(r for r in range(12) if not data(2)[0].mask["text"][r, 0])])
    plain = trained(task(2, name="none"), [lacking])
    slow = trained(task(2, name="mslr", keep={"image": 0.5}), [lacking])
    start = [p.detach() for p in task(2, name="none").model.parameters()]
    names = [n for n, _ in task(2, name="none").model.named_parameters()]
    for name, a, b, c in zip(names, start, plain, slow, strict=True):
        torch.testing.assert_close(c, torch.lerp(a, b, 0.5 if "image" in name else 1.0), msg=name)
