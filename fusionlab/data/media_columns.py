"""From what a table or a folder has to columns of raw media, in the order of a catalogue."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from fusionlab.data.assemble import row_of
from fusionlab.data.media import Media, Medium
from fusionlab.data.tables import Table
from fusionlab.errors import FusionlabError

ENDINGS = {
    Medium.IMAGE: (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"),
    Medium.AUDIO: (".mp3", ".wav", ".flac", ".ogg"),
}


def texts(column: Iterable[str | None]) -> Media:
    """Text as it stands; blank is none."""
    return Media(Medium.TEXT, [text if text and text.strip() else None for text in column])


def paths(table: Table, column: str, folder: Path, medium: Medium) -> Media:
    """Files named from ``folder`` on; blank is none. No file is looked for, and none is named
    that stands outside: a table from elsewhere must not say what is read of this machine."""
    cells = table.texts(column)
    outside = [path is not None and not _stays_inside(path) for path in cells]
    table.refuse(column, pl.Series(outside), f"a path inside {folder}")
    return Media(medium, [folder / path if path and path.strip() else None for path in cells])


def _stays_inside(path: str) -> bool:
    """Is it below where it starts, by its letters? Links are the user's own."""
    place = os.path.normpath(path)
    return not (os.path.isabs(place) or place.split(os.sep)[0] == os.pardir or "\0" in path)


def files_by_stem(folder: Path | None, medium: Medium) -> dict[str, Path]:
    """The files of a medium by their names without ending; none where there is no folder."""
    if folder is None or not folder.is_dir():
        return {}
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in ENDINGS[medium]:
            continue
        other = files.setdefault(file.stem, file)
        if other != file:
            raise FusionlabError(
                f"{folder}: found {other.name}, {file.name}, expected only one of them"
            )
    return files


def files_of(catalogue: pl.Series, files: Mapping[str, Path], medium: Medium) -> Media:
    """The file that bears the id of each item."""
    return Media(medium, [files.get(item) for item in catalogue])


def aligned(column: pl.Series, ids: pl.Series, catalogue: pl.Series) -> pl.Series:
    """(N,) the entry of each item of the catalogue; ``column`` has those of the items ``ids``."""
    return column.gather(row_of(catalogue, ids))
