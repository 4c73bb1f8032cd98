"""Published datasets, where they are at hand: the counts that their papers and projects state."""

import os
from pathlib import Path

import pytest

from fusionlab.data.formats.mmrec import MMRec
from fusionlab.data.formats.recbole import RecBole
from fusionlab.data.inspect import Coverage, Spread, inspect

SHARED = os.environ.get("FUSIONLAB_SHARED", Path(__file__).parents[2].parent / "shared")
DATA = Path(SHARED) / "data"


def published(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    return str(DATA / name)


def test_tiktok():
    figures = inspect(MMRec(path=published("tiktok")).load())
    assert (figures.clicks.users, figures.items) == (9_308, 6_710)
    assert figures.clicks.by_split == {"train": 59_541, "valid": 3_051, "test": 6_130}
    assert figures.clicks.users_only_outside_train == 10
    assert figures.clicks.items_only_outside_train == 465
    assert figures.duplicates_removed == 0
    pooled = Coverage(6_710, 1.0, 128, 1, "float16")
    assert figures.modalities == {"audio": pooled, "image": pooled}


def test_baby():
    figures = inspect(MMRec(path=published("baby")).load())
    assert (figures.clicks.users, figures.items) == (19_445, 7_050)
    assert figures.clicks.by_split == {"train": 118_551, "valid": 20_559, "test": 21_682}
    assert figures.clicks.users_only_outside_train == 0
    assert figures.clicks.per_user.minimum == figures.clicks.per_item.minimum == 5


def test_movielens():
    figures = inspect(RecBole(path=published("movielens-100k")).load())
    assert (figures.clicks.users, figures.items) == (943, 1_682)
    assert sum(figures.clicks.by_split.values()) == 100_000
    assert figures.clicks.per_user == Spread(20, 65.0, 737)
    assert figures.duplicates_removed == 0
