"""MicroLens: clicks on micro-videos with titles, covers and sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from fusionlab.data.assemble import CoreSize, Found, assemble
from fusionlab.data.clicks import read_clicks, union
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.media import Media, Medium
from fusionlab.data.media_columns import aligned, files_by_stem, files_of, texts
from fusionlab.data.privacy import OPEN, PrivacyOptions
from fusionlab.data.splits import Split
from fusionlab.data.table_files import (
    existing_folder,
    only_file,
    optional_file,
    read_csv,
    read_delimited,
)
from fusionlab.data.tables import Table

USER, ITEM, TIME, TITLE = "user", "item", "timestamp", "title"
PAIRS = ("*_pairs.csv", "*_pairs.tsv")
Pattern = Annotated[str, Field(pattern="^[^/]")]


@DATASETS.register("microlens")
class MicroLens(DatasetFormat):
    """A folder as MicroLens (Ni et al., 2023) publishes its datasets.

    ``*_pairs.csv`` or, where there is none, ``*_pairs.tsv``, headed ``user item timestamp``, or a
    ``.tsv`` without a header: a user and, with blanks between them, the items in the order of the
    clicks. Optional: titles (a .csv headed ``item title``), covers (``ID.jpg``) and sound
    (``ID.mp3``). The catalogue is every item of the titles and the clicks. Raw media: ``title``,
    ``cover``, ``audio``, where there is such a file or folder; an item without a title or file
    lacks it.

    Options:
        path: the folder
        split: which click is train, validation or test; default: ratio
        k_core: keep only users and items with at least this many clicks; 0 keeps all
        titles: the file of titles: a name or a pattern
        covers: the folder of covers, likewise
        audio: the folder of sound, likewise
        privacy: hash_key, users under hashes; without_users, a file of users to read without
    """

    def __init__(
        self,
        *,
        path: str,
        split: Split | None = None,
        k_core: CoreSize = 0,
        titles: Pattern = "*title*.csv",
        covers: Pattern = "*cover*",
        audio: Pattern = "*audio*",
        privacy: PrivacyOptions = OPEN,
    ) -> None:
        self.privacy = privacy
        self.path, self.split, self.k_core = path, split, k_core
        self.titles, self.covers, self.audio = titles, covers, audio

    def load(self) -> Dataset:
        """Read the clicks and titles, find covers and sound, check, split."""
        folder = existing_folder(self.path)
        file = optional_file(folder, PAIRS[:1]) or only_file(folder, PAIRS)
        table = self.privacy.people(_read_pairs(file), USER)
        clicks = read_clicks(table, user=USER, item=ITEM, time=TIME)
        catalogue, media = clicks["item"].unique().sort(), {}
        titles_file = optional_file(folder, [self.titles])
        if titles_file:
            titles = read_csv(titles_file)
            ids = titles.distinct_ids(ITEM)
            catalogue = union(ids, catalogue)
            media["title"] = texts(aligned(titles.texts(TITLE), ids, catalogue))
        found = Found(
            name=file.stem.removesuffix("_pairs"),
            table=table,
            item_column=ITEM,
            clicks=clicks,
            catalogue=catalogue,
            features={},
            media={**media, **self._files(folder, catalogue)},
            pseudonyms=self.privacy.pseudonyms(),
        )
        return assemble(found, self.split, k_core=self.k_core)

    def _files(self, folder: Path, catalogue: pl.Series) -> dict[str, Media]:
        media = {}
        for name, pattern, medium in (
            ("cover", self.covers, Medium.IMAGE),
            ("audio", self.audio, Medium.AUDIO),
        ):
            place = optional_file(folder, [f"{pattern}/"])
            if place is not None:
                media[name] = files_of(catalogue, files_by_stem(place, medium), medium)
        return media


def _read_pairs(file: Path) -> Table:
    if file.suffix == ".csv":
        return read_csv(file)
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = next(lines, "").rstrip("\r\n").split("\t")
    if USER in first or len(first) != 2:
        return read_delimited(file, "\t", quoted=False)
    return _read_sequences(file)


def _read_sequences(file: Path) -> Table:
    """A line a user, the items in the order of the clicks; a row of the table is a click."""
    table = read_delimited(file, "\t", quoted=False, columns=(USER, ITEM))
    table.ids(USER)
    table.ids(ITEM)
    clicks = table.frame.with_columns(pl.col(ITEM).str.extract_all(r"\S+")).explode(ITEM)
    return replace(table, frame=clicks, header=None)
