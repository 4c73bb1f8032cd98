"""docs/balancing.md: every balancer is named there, and the one of one's own works."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from toy import BATCHES, NAMES, ByHand, task

from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import experiment_from
from fusionlab.data.augmentation.contract import AUGMENTATIONS
from fusionlab.plugins import load_plugin

PAGE = (Path(__file__).parents[2] / "docs" / "balancing.md").read_text()
OWN = "worst_alone"


@pytest.mark.parametrize("family", [BALANCERS, AUGMENTATIONS])
def test_every_part_is_in_its_table(family):
    (table,) = re.findall(rf"^\| {family.family} \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*? \|", table, re.MULTILINE)))
    assert sorted(named) == sorted({*family.names()} - {OWN})


def test_the_example_of_augmentations_is_read():
    (text,) = re.findall(r"```yaml\n(augmentation:.*?)```", PAGE, re.DOTALL)
    given = experiment_from({"dataset": "synthetic", **yaml.safe_load(text)})
    assert given.augmentations["image"].name == "crop_jitter"


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
