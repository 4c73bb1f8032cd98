"""Gradients that balancers leave in ranking: any loss, ID factors, a modality that is nowhere."""

import pytest
import torch
from small_shop import batch, features, task
from toy import NAMES, numbers_told

from fusionlab.balancing.contract import BALANCERS
from fusionlab.training.losses import LOSSES

METHODS = ("mmpareto", "agm", "gradnorm", "pmr")


def two_steps(of):
    for _ in range(2):
        of.model.zero_grad(set_to_none=True)
        loss = of.balancer.backward(of.step(batch(of), torch.Generator()))
        assert loss.isfinite()
        found = [p.grad for p in of.model.parameters() if p.grad is not None]
        assert found
        assert all(one.isfinite().all() for one in found)
        with torch.no_grad():
            for parameter in of.model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("loss", LOSSES.names())
def test_any_loss(loss, name):
    of = task({"name": name})
    of.ranking_loss = LOSSES.parse(loss).build()
    two_steps(of)


@pytest.mark.parametrize("name", BALANCERS.names())
def test_a_modality_that_no_item_has(name):
    options = {"weight": dict.fromkeys(NAMES, 1.0)} if name == "fixed_weights" else {}
    of = task({"name": name, **options}, items=features(3, lacking="image"))
    two_steps(of)
    told = numbers_told(of)
    assert all(torch.tensor(value).isfinite() for value in told.values())
    named = [key.split(".")[-1] for key in told][-3:]
    assert named == ([] if name in ("none", "modality_dropout") else list(NAMES))
