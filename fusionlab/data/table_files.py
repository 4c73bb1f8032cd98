"""Files of tables: read whole, or refused with the file and the line at fault."""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from fusionlab.data.tables import Table
from fusionlab.errors import FusionlabError

LONGEST_CELL = 2**31 - 1
GZIP = ".gz"
UNPACKED_AT_LEAST, UNPACKED_RATIO = 1 << 26, 100
"""A compressed file may unpack to 64 MiB, and to 100 times its size; JSON comes to 20."""
BROKEN = pl.exceptions.PolarsError, pl.exceptions.PanicException
"""What polars says of a file that is not as it should be."""


def existing_folder(path: str) -> Path:
    """The folder of a dataset."""
    folder = Path(os.path.expanduser(path))  # what Path makes of ~nobody is an error
    if not os.path.isdir(folder):  # false for a name too long, too
        found = "a file" if os.path.exists(folder) else "nothing"
        raise FusionlabError(f"dataset.path: found {found} at {folder}, expected a folder")
    return folder


def only_file(folder: Path, names: Sequence[str]) -> Path:
    """The one file of the folder that matches one of ``names`` (patterns)."""
    found = optional_file(folder, names)
    if found is None:
        raise FusionlabError(f"{folder}: found no file {' or '.join(names)}, expected one")
    return found


def optional_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The same, or None where there is none; a name that ends in "/" is that of a folder."""
    found = sorted(
        file
        for name in names
        for file in folder.glob(name)
        if (file.is_dir() if name.endswith("/") else file.is_file())
    )
    if len(found) > 1:
        listed = ", ".join(file.name for file in found)
        raise FusionlabError(f"{folder}: found {listed}, expected only one of them")
    return text_named(found[0]) if found else None


def text_named(file: Path) -> Path:
    """``file``, if its name is text: names of files become those of modalities and datasets."""
    try:
        file.name.encode()
    except UnicodeEncodeError:
        raise FusionlabError(
            f"{file.parent}: found a file named {os.fsencode(file.name)!r}, expected UTF-8"
        ) from None
    return file


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """What the system or a reader says of a file that cannot be read, in one error."""
    try:
        yield
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise FusionlabError(f"{file}: cannot be read: {error}") from error
    except BROKEN as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise FusionlabError(f"{file}: cannot be read: {first}") from error


def read_delimited(
    file: Path, separator: str, *, quoted: bool, columns: Sequence[str] | None = None
) -> Table:
    """A text table; every cell stays text, an empty one is null.

    Without ``columns`` the first line is the header; with them there is none.
    """
    header = int(columns is None)
    with readable(file):
        columns = columns or _header(file, separator, quoted)
        try:
            frame = pl.read_csv(
                file,
                separator=separator,
                quote_char='"' if quoted else None,
                has_header=bool(header),
                schema=dict.fromkeys(columns, pl.String),
                glob=False,
            )
        except BROKEN:
            _refuse_ragged(file, separator, quoted, columns)
            raise
        if frame[columns[-1]].null_count():
            _refuse_ragged(file, separator, quoted, columns)
    return _not_empty(Table(file, frame, None if quoted else header))


def read_csv(file: Path) -> Table:
    """Comma-separated values; a cell may stand in double quotes."""
    return read_delimited(file, ",", quoted=True)


def read_jsonl(file: Path, columns: Sequence[str] | None = None) -> Table:
    """JSON lines, perhaps compressed (``.gz``): an object a row, its keys the columns.

    With ``columns`` only these are read, as text, whatever types a key has from row to row: a
    number as it is written, a list or an object as its JSON, null for a key that is not there.
    """
    schema = None if columns is None else dict.fromkeys(columns, pl.String)
    with readable(file):
        source = _unpacked(file) if file.suffix == GZIP else escape(str(file))
        try:
            frame = pl.read_ndjson(source, schema=schema, infer_schema_length=None)
        except BROKEN:
            _refuse_json(file)
            raise
    return _not_empty(Table(file, frame))


def _unpacked(file: Path) -> bytes:
    """What a compressed file holds; one made to fill the memory is refused on the way."""
    allowed = UNPACKED_AT_LEAST + UNPACKED_RATIO * file.stat().st_size
    with gzip.open(file) as packed:
        content = packed.read(allowed + 1)
    if len(content) > allowed:
        raise FusionlabError(
            f"{file}: found more than {allowed:,} bytes in {file.stat().st_size:,} compressed ones,"
            f" expected text, which does not shrink to 1/{UNPACKED_RATIO}"
        )
    return content


def read_parquet(file: Path) -> Table:
    """Parquet, with its types."""
    with readable(file):
        frame = pl.read_parquet(file, glob=False)
    return _not_empty(Table(file, frame))


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}


def names_of(stem: str) -> list[str]:
    """The file names that `read` understands for ``stem``."""
    return [stem + ending for ending in READERS]


def read(file: Path) -> Table:
    """A table in the format that its file name says."""
    return READERS[file.suffix](file)


def _rows(lines: TextIO, separator: str, quoted: bool) -> Any:
    """Python's own reader: slow, but it knows the line it is on."""
    csv.field_size_limit(LONGEST_CELL)
    if quoted:
        return csv.reader(lines, delimiter=separator)
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)


def _header(file: Path, separator: str, quoted: bool) -> list[str]:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        columns: list[str] = next(_rows(lines, separator, quoted), [])
    if not columns:
        raise FusionlabError(f"{file}: found an empty first line, expected the names of columns")
    for name in columns:
        if columns.count(name) > 1:
            raise FusionlabError(
                f"{file}: found the column {name!r} {columns.count(name)} times in the header, "
                "expected once"
            )
    return columns


def _refuse_ragged(file: Path, separator: str, quoted: bool, columns: Sequence[str]) -> None:
    """Name the first line with too many or too few fields; runs only when something looks wrong."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = _rows(lines, separator, quoted)
        for row in rows:
            if len(row) != len(columns):
                raise FusionlabError(
                    f"{file}, line {rows.line_num}: found {len(row)} fields, "
                    f"expected {len(columns)} ({', '.join(columns)})"
                )


def _refuse_json(file: Path) -> None:
    with gzip.open(file) if file.suffix == GZIP else file.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            line = raw.decode(errors="replace")
            try:
                value = json.loads(line.rstrip()) if line.strip() else {}
            except RecursionError:
                raise FusionlabError(
                    f"{file}, line {number}: nested too deeply, expected one JSON object"
                ) from None
            except json.JSONDecodeError as error:
                raise FusionlabError(
                    f"{file}, line {number}: {error.msg} at character {error.colno}, "
                    "expected one JSON object"
                ) from None
            if not isinstance(value, dict):
                raise FusionlabError(
                    f"{file}, line {number}: found {type(value).__name__}, expected a JSON object"
                )


def _not_empty(table: Table) -> Table:
    if not len(table):
        raise FusionlabError(f"{table.file}: found no row, expected at least one")
    return table
