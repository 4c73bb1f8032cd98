"""Every reader of datasets against damaged folders: a dataset, or one error, and no trace."""

import gzip
import os
from functools import cache

import broken_raw
import numpy as np
import polars as pl
import pytest
import sklearn.datasets
from hypothesis import given
from raw_worlds import REVIEWS, lines
from worlds import SHOP, SHOP_ITEMS, array, table, write_clips, write_films, write_shop

from fusionlab.data.dataset import DATASETS
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOWS, contents, damaged
from tests.fuzzing.ground import Ground, bounded, ground, refusing_cleanly

__all__ = ["bounded", "ground"]


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


def write_private_shop(root):
    """The shop with situations, ratings, a key, users to leave out, and ids of rows in lines."""
    folder = write_shop(root)
    more = [("rating", "day", "hour"), *((n % 5, f"day {n % 2}", n) for n in range(len(SHOP) - 1))]
    rows = [(*row, *one) for row, one in zip(SHOP, more, strict=True)]
    rows += [("cat", "pot", 6, "train", 5, "day 0", 3)]
    (folder / "interactions.csv").write_text(table(rows, ","))
    (folder / "features" / "image.ids.csv").unlink()
    np.save(folder / "features" / "image.npy", array(3, 2))
    (folder / "features" / "image.ids.txt").write_text("jug\nmug\ncup\n")
    (folder / "key").write_text("a secret of more than sixteen bytes\n")
    (folder / "gone").write_text("cat\n")
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
    "private folder": (
        "folder",
        write_private_shop,
        {
            "privacy": {"hash_key": "key", "without_users": "gone"},
            "context": ["day", "hour"],
            "min_rating": 1,
            "audio_columns": ["brand"],
        },
    ),
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


def load(world, folder):
    family, _, options = WORLDS[world]
    if "privacy" in options:
        files = {key: str(folder / name) for key, name in options["privacy"].items()}
        options = {**options, "privacy": files}
    return DATASETS.parse({"name": family, "path": str(folder), **options}).build().load()


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("world", WORLDS)
def test_a_damaged_folder_is_a_dataset_or_one_error(world, worlds, ground, monkeypatch):
    monkeypatch.setattr(sklearn.datasets, "load_digits", cache(sklearn.datasets.load_digits))

    @inputs("a format of datasets")
    @given(BLOWS)
    def read(damage):
        ground.lay(damaged(worlds[world], damage))
        with refusing_cleanly():
            load(world, ground.root)
        ground.check_untouched()
        assert os.listdir(ground.root.parent) == ["data"]

    read()


@pytest.mark.parametrize("world", WORLDS)
def test_an_undamaged_folder_is_read_whatever_it_is_called(world, worlds, ground):
    """And not another one, whose name the first would match if it were a pattern."""
    ground.lay(worlds[world])
    expected = load(world, ground.root)
    odd = Ground(ground.root / "a[b]*{c}?")
    odd.root.mkdir()
    odd.lay(worlds[world])
    found = load(world, odd.root)
    assert found.item_ids.to_list() == expected.item_ids.to_list()
