"""Tables of a run with rows of single users: who is named in them, and how a user is forgotten."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

from fusionlab.data.disk import flush, whole
from fusionlab.data.fingerprint import file_fingerprint
from fusionlab.data.sealed import IN_WORK, intact, note_sums, sums
from fusionlab.data.table_files import readable
from fusionlab.studies.record import WORDS_FILE

PER_USER_FILE = "per_user.parquet"
TABLES = (PER_USER_FILE, WORDS_FILE)


def names_user(folder: Path, names: Collection[str]) -> bool:
    """Does a table of the finished run in ``folder`` name the user, by any of the ``names``?"""
    return any(_rows_of(names, _read(file, ["user"])).any() for file in _tables(folder))


def forget_user(folder: Path, names: Collection[str]) -> int:
    """Take a user's rows out of the tables of a finished run; returns how many there were.

    Tables are written anew, whole or not at all, and the old bytes overwritten. Of one who joined
    in an update (`fusionlab.data.words`) it stays that there was somebody, without a name: a model
    that has learned something of each user can still be brought back.
    """
    gone = 0
    for file in _tables(folder):
        frame = _read(file)
        theirs = _rows_of(names, frame)
        if theirs.any():
            gone += int(theirs.sum())
            _rewrite(file, _without(frame, theirs))
    return gone


def erase(file: Path) -> None:
    """Remove a file, of which no byte stays in the file system."""
    with file.open("r+b") as old:
        file.unlink()
        _overwrite(old)


def _tables(folder: Path) -> Iterator[Path]:
    return (folder / name for name in TABLES if (folder / name).is_file())


def _read(file: Path, columns: list[str] | None = None) -> pl.DataFrame:
    with readable(file):
        return pl.read_parquet(intact(file), columns=columns, glob=False)


def _rows_of(names: Collection[str], frame: pl.DataFrame) -> pl.Series:
    return frame["user"].cast(pl.String).is_in([*names]).fill_null(False)


def _without(frame: pl.DataFrame, theirs: pl.Series) -> pl.DataFrame:
    """The rows of others; and, without a name, the words that say that they joined."""
    if "item" not in frame.columns:
        return frame.filter(~theirs)
    named = pl.when(theirs).then(None).otherwise(pl.col("user")).alias("user")
    return frame.with_columns(named).filter(~theirs | frame["item"].is_null())


def _rewrite(file: Path, frame: pl.DataFrame) -> None:
    """Put a table in the place of another, and its digest in the place of the other's if there was
    one."""
    known = sums(file.parent)
    if file.name in known:
        note_sums(file.parent, known | {file.name: IN_WORK})
    _replace(file, frame)
    if file.name in known:
        note_sums(file.parent, known | {file.name: file_fingerprint(file)})


def _replace(file: Path, frame: pl.DataFrame) -> None:
    """Put a table in the place of another, of which no byte stays in the file system."""
    with file.open("r+b") as old:
        with whole(file) as draft:
            frame.write_parquet(draft)
            flush(draft)
        flush(file.parent)
        _overwrite(old)


def _overwrite(old: BinaryIO) -> None:
    old.write(bytes(os.fstat(old.fileno()).st_size))
    old.flush()
    os.fsync(old.fileno())
