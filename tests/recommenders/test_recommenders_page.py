"""docs/recommenders.md: every recommender is in its table, with what it reads."""

import re
from pathlib import Path

import pytest

from fusionlab.recommenders.contract import RECOMMENDERS

PAGE = (Path(__file__).parents[2] / "docs" / "recommenders.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \|.*\| (x?) ?\| (x?) ?\|$", PAGE, re.MULTILINE)


def test_every_recommender_is_in_the_table_once():
    assert sorted(name for name, *_ in ROWS) == RECOMMENDERS.names()


@pytest.mark.parametrize(("name", "features", "fusion"), ROWS)
def test_the_table_says_what_each_reads(name, features, fusion):
    cls = RECOMMENDERS[name]
    assert (features == "x", fusion == "x") == (cls.reads_features, cls.uses_content)
