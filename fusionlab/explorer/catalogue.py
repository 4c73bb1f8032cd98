"""What a page may show of a dataset's items: titles, texts, and which media each one has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from uuid import uuid4

import polars as pl

from fusionlab.data.dataset import Dataset
from fusionlab.data.media import Media, Medium, Raw
from fusionlab.serving.new_items import title_column

SEARCHES = 8
"""So many answers are held (four bytes an item that was found)."""


class Catalogue:
    """The items of a dataset.

    Args:
        dataset: as it was loaded.
        folder: the dataset's own; no file outside of it is ever opened. None: no files at all,
            only media that the dataset holds in memory.

    ``key`` is its own: what a browser kept of another catalogue at the same address is not shown.
    """

    def __init__(self, dataset: Dataset, folder: Path | None) -> None:
        self.name = dataset.name
        self.key = uuid4().hex[:8]
        self.folder = None if folder is None else folder.resolve()
        self.ids: list[str] = dataset.item_ids.cast(str).to_list()
        clicks = dataset.interactions
        self.users: list[str] = [] if clicks is None else [*map(str, clicks.user_ids)]
        self.media: Mapping[str, Media] = dataset.media
        self.columns = tuple(dataset.media)
        self.titled = title_column(dataset)
        self._found = lru_cache(maxsize=SEARCHES)(self._search)  # pages of it are turned

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows by id."""
        return {name: row for row, name in enumerate(self.ids)}

    def title(self, row: int) -> str:
        """What an item is called: its title, or else its id."""
        entry = None if self.titled is None else self.media[self.titled].entries[row]
        return entry if isinstance(entry, str) and entry.strip() else self.ids[row]

    def texts(self, row: int) -> dict[str, str]:
        """The other texts of an item, by column."""
        columns = [name for name in self._of(Medium.TEXT) if name != self.titled]
        found = {name: self.media[name].entries[row] for name in columns}
        return {name: text for name, text in found.items() if isinstance(text, str)}

    def images(self, row: int) -> list[str]:
        """Columns in which an item has a picture that is there."""
        return [name for name in self._of(Medium.IMAGE) if self.raw(name, row) is not None]

    def sounds(self, row: int) -> list[str]:
        """Columns in which an item has a sound that is there."""
        return [name for name in self._of(Medium.AUDIO) if self.raw(name, row) is not None]

    def raw(self, column: str, row: int) -> bytes | Path | None:
        """A picture or a sound: bytes, or a file inside the dataset's folder; else None.

        A path of the data that leads out of the folder, by dots or by a link, is refused.
        """
        entry: Raw | None = self.media[column].entries[row]
        if isinstance(entry, bytes):
            return entry
        if not isinstance(entry, Path) or self.folder is None:
            return None
        try:
            file = entry.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # not there, links in a circle, a zero byte
            return None
        return file if file.is_relative_to(self.folder) and file.is_file() else None

    def search(self, words: str, start: int, count: int) -> tuple[list[int], int]:
        """Rows from ``start`` on of the items whose title or id holds ``words``; how many there
        are in all."""
        wanted = words.strip().casefold()
        if not wanted:
            return [*range(start, min(start + count, len(self)))], len(self)
        found = self._found(wanted)
        return found[start : start + count].to_list(), len(found)

    def _search(self, wanted: str) -> pl.Series:
        return self._searched.str.contains(wanted, literal=True).arg_true()

    @cached_property
    def _searched(self) -> pl.Series:
        """Titles and ids as they are searched: one column, not a text an item."""
        told = (f"{self.title(row)}\n{name}".casefold() for row, name in enumerate(self.ids))
        return pl.Series("told", told, pl.String)

    def _of(self, medium: Medium) -> list[str]:
        return [name for name, media in self.media.items() if media.medium is medium]
