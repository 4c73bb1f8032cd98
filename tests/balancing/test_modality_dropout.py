"""Modality dropout as a balancer is modality dropout as an option, bit for bit."""

import pytest
import torch
from small_shop import task as ranking
from toy import BATCHES, gradients, task

from fusionlab.balancing.contract import BALANCERS
from fusionlab.schema import validate
from fusionlab.sections import Training


@pytest.mark.parametrize("m", [2, 3])
def test_it_does_what_the_option_does(m):
    whole, balanced, optional = task(m, name="none"), task(m, name="none"), task(m, name="none")
    balancer = BALANCERS.parse({"name": "modality_dropout", "rate": 0.6})
    balanced.balancer = balancer.build(balanced.features.modalities)
    optional.training = validate(Training, {"modality_dropout": 0.6})
    changed = False
    for rows in BATCHES:
        plain = gradients(whole, rows)
        one, other = gradients(balanced, rows), gradients(optional, rows)
        for name in plain:
            assert torch.equal(one[name], other[name])
            changed |= not torch.equal(one[name], plain[name])
    assert changed
    assert balanced.balancer.trains == "dropout"


def test_it_does_so_in_ranking_too():
    losses = []
    for balancer, option in ({"name": "modality_dropout", "rate": 0.6}, 0.0), ("none", 0.6):
        of = ranking(balancer, modality_dropout=option)
        generator = torch.Generator().manual_seed(0)
        losses.append([of.step(batch, generator).joint for batch in of.batches(generator)])
    assert torch.equal(torch.stack(losses[0]), torch.stack(losses[1]))
