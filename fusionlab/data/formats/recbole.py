"""RecBole's atomic files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from fusionlab.data.arrays import FeatureRows
from fusionlab.data.assemble import CoreSize, Found, assemble
from fusionlab.data.clicks import read_clicks, union
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.privacy import OPEN, PrivacyOptions
from fusionlab.data.splits import Split
from fusionlab.data.table_files import existing_folder, only_file, read_delimited
from fusionlab.data.tables import Column, Table
from fusionlab.errors import FusionlabError, one_of

TYPES = ("token", "token_seq", "float", "float_seq")
Types = dict[str, str]


@DATASETS.register("recbole")
class RecBole(DatasetFormat):
    """A folder of RecBole's (Zhao et al., 2021) atomic files.

    ``NAME.inter`` and, where there are any, ``NAME.item`` and ``NAME.user``: tab-separated, each
    column headed ``name:type`` with the types token, token_seq, float and float_seq. The catalogue
    is every item of ``.item`` and ``.inter``. Each ``float_seq`` column of ``.item``, numbers with
    blanks between them, is a modality; an empty cell is an item without it. Other columns serve
    only a split that asks for them.

    Options:
        path: the folder
        split: which click is train, validation or test; default: ratio
        min_rating: implicit feedback: keep only clicks rated at least this
        k_core: keep only users and items with at least this many clicks; 0 keeps all
        user_column: the users
        item_column: the items
        rating_column: the ratings, read if min_rating is set
        time_column: the times, read where there is such a column
        privacy: hash_key, users under hashes; without_users, a file of users to read without
        context: columns of the clicks whose values are the situation of each (docs/your-data.md)
    """

    def __init__(
        self,
        *,
        path: str,
        split: Split | None = None,
        min_rating: float | None = None,
        k_core: CoreSize = 0,
        user_column: str = "user_id",
        item_column: str = "item_id",
        rating_column: str = "rating",
        time_column: str = "timestamp",
        privacy: PrivacyOptions = OPEN,
        context: tuple[str, ...] = (),
    ) -> None:
        self.privacy = privacy
        self.path, self.split, self.min_rating, self.k_core = path, split, min_rating, k_core
        self.context = context
        self.user, self.item = user_column, item_column
        self.rating, self.time = rating_column, time_column

    def load(self) -> Dataset:
        """Read the clicks and what is known of items and users, check, split."""
        folder = existing_folder(self.path)
        file = only_file(folder, ["*.inter"])
        table = self.privacy.people(read_atomic(file)[0], self.user)
        clicks = read_clicks(
            table,
            user=self.user,
            item=self.item,
            time=self.time,
            rating=None if self.min_rating is None else self.rating,
        )
        catalogue, features, item_facts = self._items(file.with_suffix(".item"), clicks["item"])
        found = Found(
            name=file.stem,
            table=table,
            item_column=self.item,
            clicks=clicks,
            catalogue=catalogue,
            features=features,
            item_facts=item_facts,
            user_facts=self._users(file.with_suffix(".user")),
            pseudonyms=self.privacy.pseudonyms(),
        )
        return assemble(
            found,
            self.split,
            min_rating=self.min_rating,
            k_core=self.k_core,
            context=self.context,
        )

    def _items(
        self, file: Path, clicked: pl.Series
    ) -> tuple[pl.Series, dict[str, FeatureRows], pl.DataFrame | None]:
        """The catalogue, in the order of ``.item``; its features; its further columns."""
        if not file.exists():
            return clicked.unique().sort(), {}, None
        table, types = read_atomic(file)
        ids = table.distinct_ids(self.item)
        features = {
            name: parse_vectors(Column(table, self.item), name)
            for name, kind in types.items()
            if kind == "float_seq"
        }
        catalogue = union(ids, clicked)
        return catalogue, features, table.frame.with_columns(ids.alias("item"))

    def _users(self, file: Path) -> pl.DataFrame | None:
        if not file.exists():
            return None
        table = self.privacy.people(read_atomic(file)[0], self.user)
        return table.frame.with_columns(table.distinct_ids(self.user).alias("user"))


def read_atomic(file: Path) -> tuple[Table, Types]:
    """An atomic file: its table under the bare names, and the type of each column."""
    table = read_delimited(file, "\t", quoted=False)
    heads = [head.partition(":") for head in table.frame.columns]
    types = {}
    for name, colon, kind in heads:
        if not colon or kind not in TYPES:
            raise FusionlabError(
                f"{file}: found the column head {name + colon + kind!r}, expected name:type; "
                f"type: {one_of(kind, TYPES)}"
            )
        if name in types:
            raise FusionlabError(f"{file}: found the column {name!r} twice, expected once")
        types[name] = kind
    return replace(table, frame=table.frame.rename(dict(_renamed(heads)))), types


def _renamed(heads: list[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    return ((name + colon + kind, name) for name, colon, kind in heads)


def parse_vectors(ids: Column, name: str) -> FeatureRows:
    """A ``float_seq`` column as pooled features; an empty cell is missing."""
    table = ids.table
    text = table.frame[name].str.strip_chars()
    present = text.is_not_null() & (text != "").fill_null(False)
    if not present.any():
        raise FusionlabError(f"{table.file}: the column {name!r} is empty, expected some vectors")
    parts = text.str.split(" ")
    width = int(parts.filter(present).list.len()[0])
    table.refuse(
        name,
        present & (parts.list.len() != width).fill_null(False),
        f"{width} numbers as in the first (call it token_seq if it is no feature)",
    )
    numbers = parts.filter(present).explode().cast(pl.Float32, strict=False)
    finite = numbers.is_finite().fill_null(False).to_numpy().reshape(-1, width).all(axis=1)
    whole = np.ones(len(table), dtype=bool)
    whole[present.to_numpy()] = finite
    table.refuse(name, pl.Series(~whole), "finite numbers; leave the cell empty if it is missing")
    values = np.zeros((len(table), 1, width), dtype=np.float32)
    values[present.to_numpy(), 0] = numbers.to_numpy().reshape(-1, width)
    mask = torch.from_numpy(present.to_numpy().copy())[:, None]
    return FeatureRows(table.file, torch.from_numpy(values), mask, ids)
