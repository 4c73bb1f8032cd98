"""On-the-fly gradient modulation, against its rule written out by hand, over two steps."""

import math

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, descend, gradients, numbers_told, own, task


def scales(hand, rows, names, alpha):
    certain = {name: hand.certainty(rows, [name]) for name in names}
    found = {}
    for name in names:
        others = [certain[other] for other in names if other != name]
        ratio = certain[name] / (sum(others) / len(others))
        found[name] = 1 - math.tanh(alpha * ratio) if ratio > 1 else 1.0
    return found


@pytest.mark.parametrize("m", [2, 3])
def test_gradients_of_the_modality_that_is_ahead_are_made_smaller(m):
    of, names = task(m, name="ogm_ge", alpha=0.8, noise=False), NAMES[:m]
    for rows in BATCHES:
        hand = ByHand(of)
        expected = scales(hand, rows, names, 0.8)
        assert min(expected.values()) < 1
        parameters = dict(of.model.named_parameters())
        plain = torch.autograd.grad(hand.loss(rows, names), [*parameters.values()])
        found = gradients(of, rows)
        scale_of = {n: expected[name] for name in names for n in own(of, name)}
        assert scale_of.keys() | {"heads", "bias"} == found.keys()
        for (name, gradient), before in zip(found.items(), plain, strict=True):
            torch.testing.assert_close(gradient, before * scale_of.get(name, 1), msg=name)
        told = numbers_told(of)
        assert told == pytest.approx({f"scale.{n}": k for n, k in expected.items()})
        descend(of)


def test_noise_is_as_large_as_the_gradient_varies_before_it_is_made_smaller():
    of, names = task(2, name="ogm_ge", alpha=0.8), NAMES[:2]
    rows = BATCHES[0]
    expected = scales(ByHand(of), rows, names, 0.8)
    plain = dict(
        zip(
            dict(of.model.named_parameters()),
            torch.autograd.grad(ByHand(of).loss(rows, names), [*of.model.parameters()]),
            strict=True,
        )
    )
    ahead = min(expected, key=expected.get)
    draws = {name: [] for name in plain}
    for seed in range(300):
        torch.manual_seed(seed)
        for name, gradient in gradients(of, rows).items():
            draws[name].append(gradient)
    owned = {n for name in names for n in own(of, name)}
    for name, found in draws.items():
        noise = torch.stack(found) - plain[name] * (expected[ahead] if ahead in name else 1)
        if name in owned:
            spread = plain[name].std(correction=0)
            # Of 300 draws of at least four numbers the deviation errs by 1 / sqrt(2 x 1200) = .02
            torch.testing.assert_close(noise.std(), spread, rtol=0.1, atol=0)
        else:
            assert noise.abs().max() < 1e-6


@pytest.mark.parametrize("m", [2, 3])
def test_a_modality_that_no_example_has_is_not_compared(m):
    of, rows = task(m, name="ogm_ge", alpha=0.8), torch.tensor([3])  # it has no text
    gradients(of, rows)
    heard = NAMES[1:m]
    expected = scales(ByHand(of), rows, heard, 0.8) if m > 2 else {"image": 1.0}
    told = {f"scale.{name}": k for name, k in (expected | {"text": 1.0}).items()}
    assert numbers_told(of) == pytest.approx(told)
