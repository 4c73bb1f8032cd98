"""Balancers with a memory: killed and resumed, a run has the bits of one that was not."""

import pytest
import small_shop
import torch
import toy

from fusionlab.sections import Runtime
from fusionlab.training import loop as loop_module
from fusionlab.training.loop import Loop

BALANCERS = [
    {"name": "opm"},
    {"name": "modality_dropout"},
    {"name": "gradient_blending", "every": 1},
    {"name": "mslr", "window": 2, "keep": {"text": 3}},
    {"name": "greedy_freeze", "threshold": 0.01, "steps": 3},
    {"name": "counterfactual_distillation", "weight": 1, "mutual": True},
    {"name": "balanced_resampling", "warmup": 1},
]


class Killed(Exception):
    pass


def kill(entry):
    if entry["epoch"] == 3:
        raise Killed


def build(kind, balancer):
    return small_shop.task(balancer) if kind == "ranking" else toy.task(3, **balancer)


@pytest.mark.parametrize("kind", ["ranking", "classes"])
@pytest.mark.parametrize("balancer", BALANCERS, ids=lambda options: options["name"])
def test_resuming_repeats_the_bits(kind, balancer, tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    whole, file = build(kind, balancer), tmp_path / "checkpoint.pt"
    options = whole.training.model_copy(update={"epochs": 5, "batch_size": len(whole.items) // 3})
    whole.training = options

    def loop(of, **more):
        of.training = options
        return Loop(of, options, Runtime(), seed=3, **more)

    torch.manual_seed(1)
    reference = loop(whole).run()
    torch.manual_seed(1)
    with pytest.raises(Killed):
        loop(build(kind, balancer), checkpoint=file, on_epoch=kill).run()
    again = build(kind, balancer)
    torch.manual_seed(99)
    resumed = loop(again, checkpoint=file).run()
    for name, state in whole.balancer.state_dict().items():
        assert torch.equal(state, again.balancer.state_dict()[name]), name
    for one, two in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    for first, second in zip(reference.history, resumed.history, strict=True):
        assert first | {"seconds": 0} == second | {"seconds": 0}
