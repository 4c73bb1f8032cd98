"""Each way in which data can be broken, and the one message that says so; the docs show each."""

from pathlib import Path

import broken_features
import broken_raw
import broken_tables
import polars as pl
import pytest
from worlds import write_clips, write_films, write_shop

from fusionlab.data.dataset import DATASETS
from fusionlab.errors import FusionlabError

DOCS = Path(__file__).parents[2] / "docs" / "your-data.md"
WRITERS = {
    "mmrec": write_clips,
    "folder": write_shop,
    "recbole": write_films,
    **broken_raw.WRITERS,
}
PATHS = {"mmrec": "clips", "folder": "shop", "recbole": "films", **broken_raw.PATHS}
WHOLE = {family: {"split": "leave_one_out"} for family in PATHS} | {
    "mmrec": {},
    "folder": {},
    "av_digits": {"test": 1},
}
BROKEN = {**broken_tables.BROKEN, **broken_features.BROKEN, **broken_raw.BROKEN}


@pytest.mark.parametrize("case", BROKEN.values(), ids=list(BROKEN))
def test_broken_data_is_refused_with_the_message_in_the_docs(case, home):
    family, break_it, options, message = case
    WRITERS[family](home)
    break_it()
    part = DATASETS.parse({"name": family, "path": PATHS[family], **options})
    with pytest.raises(FusionlabError) as error:
        part.build().load()
    if message.endswith("..."):  # the rest is in the words of polars
        assert str(error.value).startswith(message.removesuffix("..."))
    else:
        assert str(error.value) == message
    assert f"`{message}`" in DOCS.read_text()


@pytest.mark.parametrize("family", WRITERS)
def test_the_worlds_that_are_broken_above_are_whole(family, home):
    WRITERS[family](home)
    DATASETS.parse({"name": family, "path": PATHS[family], **WHOLE[family]}).build().load()


def test_the_docs_show_no_message_that_does_not_occur():
    shown = [line for line in DOCS.read_text().splitlines() if line.startswith("- `")]
    messages = [line.removeprefix("- `").partition("`")[0] for line in shown]
    assert sorted(messages) == sorted(case[3] for case in BROKEN.values())


def test_a_column_from_parquet_that_holds_no_number_where_one_is_due(home):
    write_shop(home)
    Path("shop/interactions.csv").unlink()
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["mug", "cup"], "time": [1.0, None]})
    frame.write_parquet("shop/interactions.parquet")
    part = DATASETS.parse({"name": "folder", "path": "shop"})
    with pytest.raises(FusionlabError, match="row 2, column 'time': found nothing, expected a fin"):
        part.build().load()
