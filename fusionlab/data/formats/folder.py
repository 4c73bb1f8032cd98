"""A plain folder of tables and feature arrays: the format for one's own data."""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path

import polars as pl

from fusionlab.data.arrays import FeatureRows, read_features
from fusionlab.data.assemble import SPLIT_CODES, CoreSize, Found, assemble
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.media import Media, Medium
from fusionlab.data.media_columns import paths, texts
from fusionlab.data.privacy import OPEN, PrivacyOptions
from fusionlab.data.splits import Split
from fusionlab.data.table_files import (
    existing_folder,
    names_of,
    only_file,
    optional_file,
    read,
    read_csv,
    readable,
)
from fusionlab.data.tables import Column, Table
from fusionlab.errors import FusionlabError


@DATASETS.register("folder")
class Folder(DatasetFormat):
    """``interactions``, ``items`` and ``features/``, as CSV, JSON lines or Parquet.

    ``interactions.csv|jsonl|parquet`` has a row a click. ``items.csv|jsonl|parquet`` has a row an
    item and is the catalogue; without it the catalogue is every item with a feature id or a click.
    ``features/NAME.npy`` is the modality NAME: (rows, width), or (rows, tokens, width). Row r is
    item r of the items file, or the r-th id of ``features/NAME.ids.csv`` (column: the item's) or
    ``NAME.ids.txt`` (one a line). Items without a row lack the modality, as do those that
    ``features/NAME.mask.npy``, bool (rows,) or (rows, tokens), turns off. Ids are text.

    Columns of the items file may hold raw media for encoders: text, or the paths of image and sound
    files, which start in the folder. An item with an empty cell lacks the medium; a file that is
    not there is found missing when it is encoded.

    Options:
        path: the folder
        split: which click is train, validation or test; default: given, where there is a split
            column, else ratio
        min_rating: keep only clicks rated at least this
        k_core: keep only users and items with at least this many clicks; 0 keeps all
        user_column: the users
        item_column: the items, in interactions, items and ids alike
        time_column: the times, as numbers or dates; default: time, where there is one
        rating_column: the ratings, read if min_rating is set
        split_column: 0, 1, 2 or train, valid, test; default: split, where there is one
        text_columns: columns of items that hold raw text
        image_columns: columns of items that hold paths of images
        audio_columns: columns of items that hold paths of sound
        privacy: hash_key, users under hashes; without_users, a file of users to read without
        context: columns of interactions whose values are the situation of each (docs/your-data.md)
    """

    def __init__(
        self,
        *,
        path: str,
        split: Split | None = None,
        min_rating: float | None = None,
        k_core: CoreSize = 0,
        user_column: str = "user",
        item_column: str = "item",
        time_column: str | None = None,
        rating_column: str = "rating",
        split_column: str | None = None,
        text_columns: tuple[str, ...] = (),
        image_columns: tuple[str, ...] = (),
        audio_columns: tuple[str, ...] = (),
        privacy: PrivacyOptions = OPEN,
        context: tuple[str, ...] = (),
    ) -> None:
        self.privacy = privacy
        self.path, self.split, self.min_rating, self.k_core = path, split, min_rating, k_core
        self.user, self.item, self.rating = user_column, item_column, rating_column
        self.time, self.part, self.context = time_column, split_column, context
        self.media = {
            Medium.TEXT: text_columns,
            Medium.IMAGE: image_columns,
            Medium.AUDIO: audio_columns,
        }
        _check_distinct([name for names in self.media.values() for name in names])

    def load(self) -> Dataset:
        """Read the tables, map the features, check all, split."""
        folder = existing_folder(self.path)
        table = read(only_file(folder, names_of("interactions")))
        table = self.privacy.people(table, self.user)
        find = only_file if any(self.media.values()) else optional_file
        items_file = find(folder, names_of("items"))
        items = read(items_file) if items_file else None
        clicks = self._clicks(table)
        features = self._features(folder / "features")
        found = Found(
            name=folder.resolve().name,
            table=table,
            item_column=self.item,
            clicks=clicks,
            catalogue=self._catalogue(items, clicks["item"], features),
            features=features,
            item_facts=_facts(items, self.item),
            media={} if items is None else _media(items, folder, self.media),
            pseudonyms=self.privacy.pseudonyms(),
        )
        return assemble(
            found,
            self.split,
            min_rating=self.min_rating,
            k_core=self.k_core,
            context=self.context,
        )

    def _clicks(self, table: Table) -> pl.DataFrame:
        columns = {}
        for key, name in (("user", self.user), ("item", self.item)):
            table.require(name)
            columns[key] = table.ids(name)
        time = _optional(table, self.time, "time")
        if time is not None:
            columns["time"] = table.numbers(time)
        part = _optional(table, self.part, "split")
        if part is not None:
            columns["split"] = table.coded(part, SPLIT_CODES)
        if self.min_rating is not None:
            table.require(self.rating)
            columns["rating"] = table.numbers(self.rating)
        return pl.DataFrame(columns)

    def _features(self, folder: Path) -> dict[str, FeatureRows]:
        files = {file.name for file in folder.glob("*")}
        arrays = sorted(n for n in files if n.endswith(".npy") and not n.endswith(".mask.npy"))
        names = [name.removesuffix(".npy") for name in arrays]
        for ending in (".mask.npy", ".ids.csv", ".ids.txt"):
            for name in sorted(
                file.removesuffix(ending) for file in files if file.endswith(ending)
            ):
                if name not in names:
                    raise FusionlabError(
                        f"{folder / (name + ending)}: found no {name}.npy beside it, expected one"
                    )
        return {name: self._modality(folder, name) for name in names}

    def _modality(self, folder: Path, name: str) -> FeatureRows:
        mask_name = f"{name}.mask.npy"
        return read_features(
            folder / f"{name}.npy",
            cure=f"to call a row missing, turn it off in features/{mask_name}",
            mask_file=optional_file(folder, [escape(mask_name)]),
            ids=self._ids(
                optional_file(folder, [escape(name) + end for end in (".ids.csv", ".ids.txt")])
            ),
        )

    def _ids(self, file: Path | None) -> Column | None:
        if file is None:
            return None
        table = read_csv(file) if file.suffix == ".csv" else _read_lines(file, self.item)
        table.require(self.item)
        return Column(table, self.item)

    def _catalogue(
        self, items: Table | None, clicked: pl.Series, features: dict[str, FeatureRows]
    ) -> pl.Series:
        if items is not None:
            items.require(self.item)
            ids = items.ids(self.item)
            items.refuse(self.item, ~ids.is_first_distinct(), "each item once")
            return ids
        known = []
        for rows in features.values():
            if rows.ids is None:
                raise FusionlabError(
                    f"{rows.file}: found neither an items file nor {rows.file.stem}.ids.csv, "
                    "expected one of them to say which item a row belongs to"
                )
            known.append(rows.ids.ids())
        return pl.concat([*known, clicked.unique().sort()]).unique(maintain_order=True)


def _optional(table: Table, asked: str | None, usual: str) -> str | None:
    """The column that was asked for, which must be there; else the usual one, if it is there."""
    if asked is None:
        return usual if usual in table else None
    table.require(asked)
    return asked


def _read_lines(file: Path, column: str) -> Table:
    with readable(file):
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    text = pl.Series(column, lines, pl.String)
    return Table(file, pl.DataFrame([text.set(text == "", None)]), header=0)


def _check_distinct(columns: list[str]) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise FusionlabError(
                f"text_columns, image_columns, audio_columns: found {name!r} "
                f"{columns.count(name)} times, expected each column once"
            )


def _media(
    items: Table, folder: Path, columns: Mapping[Medium, tuple[str, ...]]
) -> dict[str, Media]:
    media = {}
    for medium, names in columns.items():
        for name in names:
            if medium is Medium.TEXT:
                media[name] = texts(items.texts(name))
            else:
                media[name] = paths(items, name, folder, medium)
    return media


def _facts(items: Table | None, item: str) -> pl.DataFrame | None:
    if items is None:
        return None
    return items.frame.with_columns(items.ids(item).alias("item"))
