"""The first step whose loss is no number is named, with its examples, wherever one looks."""

import pytest
import torch

from fusionlab.errors import NotANumberError
from fusionlab.training.diverged import AT_ONCE, DivergedError, Watch


def watched(device, losses):
    watch = Watch(device, 3, 0.01)
    for step, loss in enumerate(losses, 1):
        watch.see(torch.tensor(loss), torch.tensor([step, 10 * step]))
    watch.look()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("device", ["cpu", "cuda"])  # how often one looks; no GPU is needed
@pytest.mark.parametrize("step", [1, 7, AT_ONCE, AT_ONCE + 1, 100])
def test_the_first_bad_step_is_named(device, step, bad):
    losses = [1.0] * (step - 1) + [bad] + [float("nan")] * 40
    told = rf"became {bad} in epoch 3, step {step}, .*lower it \(now 0.01\)"
    with pytest.raises(DivergedError, match=told) as found:
        watched(device, losses)
    assert found.value.examples.tolist() == [step, 10 * step]


def test_on_a_cpu_it_is_seen_at_once():
    watch = Watch("cpu", 1, 0.01)
    with pytest.raises(DivergedError):
        watch.see(torch.tensor(float("nan")), None)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_finite_losses_are_nothing_to_say(device):
    watched(device, [0.5] * 130)
    watched(device, [])


def test_scores_that_are_no_numbers_are_what_the_last_step_left():
    watch = Watch("cpu", 2, 0.01)
    for step in range(3):
        watch.see(torch.tensor(0.5), torch.tensor([step]))
    told = r"scores became NaN in epoch 2, step 3, .*lower it"
    with pytest.raises(DivergedError, match=told) as found, watch.validating():
        raise NotANumberError("scores: found NaN")
    assert found.value.examples.tolist() == [2]
