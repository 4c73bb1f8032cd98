"""docs/balancing.md: every balancer is named there, and the one of one's own works."""

import re
from pathlib import Path

import pytest
import torch
from toy import BATCHES, NAMES, ByHand, task

from fusionlab.balancing.contract import BALANCERS
from fusionlab.plugins import load_plugin

PAGE = (Path(__file__).parents[2] / "docs" / "balancing.md").read_text()
OWN = "worst_alone"


def test_every_balancer_is_in_the_table():
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*? \|", PAGE, re.MULTILINE))))
    assert named == {*BALANCERS.names()} - {OWN}


def test_a_balancer_of_ones_own(tmp_path):
    (code,) = re.findall(r"```python file=worst\.py\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "worst.py"
    file.write_text(code)
    load_plugin(str(file))
    try:
        of = task(3, name=OWN)
        loss = of.balancer.backward(of.step(BATCHES[0], torch.Generator()))
        hand = ByHand(task(3, name="none"))
        alone = [hand.loss(BATCHES[0], [name]).item() for name in NAMES]
        expected = hand.loss(BATCHES[0], NAMES).item() + max(alone)
        assert loss.item() == pytest.approx(expected)
    finally:
        BALANCERS._parts.pop(OWN, None)
