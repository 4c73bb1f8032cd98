"""docs/missing.md: every imputer is in its table, and the examples are read."""

import re
from pathlib import Path

import pytest
import yaml

from fusionlab.config import experiment_from
from fusionlab.fusion.imputers.contract import IMPUTERS

PAGE = (Path(__file__).parents[2] / "docs" / "missing.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_every_imputer_is_in_its_table():
    (table,) = re.findall(r"^\| imputer \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == sorted(
        IMPUTERS.names(), key=["none", "zero", "mean", "learned", "neighbours"].index
    )


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_read(text):
    experiment_from({"dataset": "synthetic", **yaml.safe_load(text)})
