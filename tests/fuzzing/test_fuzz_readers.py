"""Every reader of datasets against damaged folders: a dataset, or one error, and no trace."""

import gzip
import tempfile
from pathlib import Path

import broken_raw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_worlds import REVIEWS, lines
from worlds import SHOP, SHOP_ITEMS, write_clips, write_films, write_shop

from fusionlab.data.dataset import DATASETS
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOWS, bounded, contents, refusing_cleanly, seen, write_damaged

__all__ = ["bounded"]


def write_typed_shop(root):
    """The shop as Parquet and JSON lines, with columns of media."""
    folder = write_shop(root)
    (folder / "interactions.csv").unlink()
    (folder / "items.csv").unlink()
    pl.DataFrame(SHOP[1:], schema=list(SHOP[0]), orient="row").write_parquet(
        folder / "interactions.parquet"
    )
    rows = [dict(zip(SHOP_ITEMS[0], row, strict=True)) for row in SHOP_ITEMS[1:]]
    (folder / "items.jsonl").write_text(lines(rows))
    return folder


def write_packed_beauty(root):
    folder = broken_raw.write_beauty(root)
    (folder / "All_Beauty.jsonl").unlink()
    packed = gzip.compress(lines(REVIEWS).encode(), mtime=0)
    (folder / "All_Beauty.jsonl.gz").write_bytes(packed)
    return folder


WORLDS = {
    "mmrec": ("mmrec", write_clips, {"min_rating": 1, "zero_rows_are_missing": True}),
    "folder": ("folder", write_shop, {"text_columns": ["title"]}),
    "typed folder": ("folder", write_typed_shop, {"image_columns": ["brand"]}),
    "recbole": ("recbole", write_films, {"split": "leave_one_out"}),
    "movielens": ("movielens", broken_raw.write_movies, {"split": "leave_one_out"}),
    "microlens": ("microlens", broken_raw.write_videos, {"split": "leave_one_out"}),
    "amazon": ("amazon_reviews_2023", broken_raw.write_beauty, {"split": "leave_one_out"}),
    "packed amazon": (
        "amazon_reviews_2023",
        write_packed_beauty,
        {"split": "leave_one_out", "min_rating": 2},
    ),
    "av_digits": ("av_digits", broken_raw.write_digits, {"test": 1}),
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return {
        name: contents(write(tmp_path_factory.mktemp(name.replace(" ", "_"))))
        for name, (_, write, _) in WORLDS.items()
    }


@pytest.mark.usefixtures("bounded")
def test_a_damaged_folder_is_a_dataset_or_one_error(worlds):
    @inputs("readers")
    @given(st.sampled_from(list(WORLDS)), BLOWS)
    def read(world, damage):
        family, _, options = WORLDS[world]
        with tempfile.TemporaryDirectory() as home:
            folder = Path(home) / "data"
            folder.mkdir()
            write_damaged(worlds[world], damage, folder)
            before = seen(folder)
            with refusing_cleanly():
                DATASETS.parse({"name": family, "path": str(folder), **options}).build().load()
            assert seen(folder) == before
            assert [file.name for file in Path(home).iterdir()] == ["data"]

    read()


@pytest.mark.parametrize("world", WORLDS)
def test_an_undamaged_folder_is_read(world, worlds, tmp_path):
    family, _, options = WORLDS[world]
    write_damaged(worlds[world], ([], []), tmp_path)
    assert DATASETS.parse({"name": family, "path": str(tmp_path), **options}).build().load()
