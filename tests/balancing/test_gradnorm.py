"""GradNorm, against its loss of norms differentiated by automatic differentiation."""

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, descend, gradients, numbers_told, task


def differentiated(weights, gradient_norms, left, alpha):
    """d/dw sum_i |w_i |grad L_i| - mean(G) r_i^alpha|, the second term held fixed."""
    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    norms = w * torch.tensor(gradient_norms, dtype=torch.float64)
    pace = torch.tensor(left, dtype=torch.float64)
    target = (norms.mean() * (pace / pace.mean()) ** alpha).detach()
    return torch.autograd.grad((norms - target).abs().sum(), w)[0].tolist()


@pytest.mark.parametrize("m", [2, 3])
def test_two_steps_are_those_of_the_paper(m):
    names, alpha, rate = NAMES[:m], 0.8, 0.05
    of = task(m, name="gradnorm", alpha=alpha, rate=rate)
    weights, first = [1.0] * (m + 1), None
    keys = [n for n, _ in of.model.named_parameters()]
    for rows in (*BATCHES, BATCHES[0]):
        hand = ByHand(of)
        losses = [hand.loss(rows, names), *(hand.loss(rows, [name]) for name in names)]
        by_task = [
            dict(
                zip(
                    keys,
                    torch.autograd.grad(
                        loss, [*of.model.parameters()], retain_graph=True, allow_unused=True
                    ),
                    strict=True,
                )
            )
            for loss in losses
        ]
        for key, found in gradients(of, rows).items():
            parts = zip(weights, by_task, strict=True)
            expected = sum(w * one[key] for w, one in parts if one[key] is not None)
            torch.testing.assert_close(found, expected, msg=key)
        norms = [
            sum(
                float(g.square().sum())
                for key, g in one.items()
                if "fusion" in key and g is not None
            )
            ** 0.5
            for one in by_task
        ]
        first = first or [loss.item() for loss in losses]
        left = [loss.item() / start for loss, start in zip(losses, first, strict=True)]
        slopes = differentiated(weights, norms, left, alpha)
        weights = [w - rate * slope for w, slope in zip(weights, slopes, strict=True)]
        weights = [w * (m + 1) / sum(weights) for w in weights]
        assert list(numbers_told(of).values()) == pytest.approx(weights, rel=1e-4)
        assert list(numbers_told(of)) == [f"weight.{name}" for name in ("joint", *names)]
        descend(of)
    assert max(weights) - min(weights) > 0.01


def test_a_modality_that_no_example_has_is_left_out():
    of = task(2, name="gradnorm")
    gradients(of, torch.tensor([3]))  # it has no text
    assert of.balancer.begun.tolist() == [True, False, True]
    # Its weight changes only by bringing the sum back.
    joint, text, image = of.balancer.weight.tolist()
    assert joint + text + image == pytest.approx(3)
    hand = ByHand(of)
    rows = torch.tensor([3])
    losses = [hand.loss(rows, NAMES[:2]), hand.loss(rows, ["image"])]
    assert losses[0].item() == pytest.approx(
        losses[1].item()
    )  # the same, so nothing is to be moved
    assert [joint, text, image] == pytest.approx([1, 1, 1])
    gradients(of, BATCHES[1])
    assert of.balancer.begun.all()
    assert of.balancer.first[1].item() == pytest.approx(hand.loss(BATCHES[1], ["text"]).item())


def test_weights_stay_above_zero():
    of = task(3, name="gradnorm", rate=100.0)
    for rows in (*BATCHES, *BATCHES):
        gradients(of, rows)
        assert of.balancer.weight.min() > 0
        assert of.balancer.weight.sum().item() == pytest.approx(4)


def test_compiled_strategies_are_gone_back_through_as_often(monkeypatch):
    monkeypatch.setattr(torch._functorch.config, "donated_buffer", True)
    plain, compiled = task(3, name="gradnorm"), task(3, name="gradnorm")
    compiled.model.fusion.compile(backend="aot_eager")
    expected = gradients(plain, BATCHES[0])
    for name, found in gradients(compiled, BATCHES[0]).items():
        torch.testing.assert_close(found, expected[name], msg=name)
    assert numbers_told(compiled) == pytest.approx(numbers_told(plain))
