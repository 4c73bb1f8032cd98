"""Tables as they are brought: every cell is what it should be, or refused with its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fusionlab.errors import FusionlabError, among


@dataclass(frozen=True)
class Table:
    """A file's columns, not yet checked: text, or the types that Parquet and JSON lines carry.

    ``header`` lines stand before the first row where a row is a line; it is None where rows and
    lines may differ (quoted line breaks, Parquet), and errors then name the row, the first being 1.
    ``rows`` are the places of the rows in the file, from 0, where some of it is left out.
    """

    file: Path
    frame: pl.DataFrame
    header: int | None = None
    rows: pl.Series | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    def where(self, row: int, column: str) -> str:
        """The place of a cell, ``row`` counted from 0, as a user finds it."""
        row = row if self.rows is None else int(self.rows[row])
        place = f"row {row + 1}" if self.header is None else f"line {row + 1 + self.header}"
        return f"{self.file}, {place}, column {column!r}"

    def require(self, column: str) -> None:
        """Refuse a table that lacks ``column``."""
        if column not in self:
            raise FusionlabError(
                f"{self.file}: no column {column!r} in the header: "
                f"{among(column, self.frame.columns)}"
            )

    def refuse(self, column: str, wrong: pl.Series, expected: str) -> None:
        """Name the first cell of ``column`` for which ``wrong`` is true, if there is one."""
        if not wrong.any():
            return
        row = wrong.arg_max()
        assert row is not None
        found = self.frame[column][row]
        shown = "nothing" if found is None else repr(found)
        raise FusionlabError(f"{self.where(row, column)}: found {shown}, expected {expected}")

    def ids(self, column: str) -> pl.Series:
        """The column as text; none may be empty."""
        self.refuse(column, self._cells(column).is_null(), "an id")
        return self._cells(column).cast(pl.String)

    def distinct_ids(self, column: str) -> pl.Series:
        """The column, which must be there, as text; none may be empty or stand twice."""
        self.require(column)
        ids = self.ids(column)
        self.refuse(column, ~ids.is_first_distinct(), "each id once")
        return ids

    def texts(self, column: str) -> pl.Series:
        """The column, which must be there, as text; an empty cell is null."""
        self.require(column)
        return self._cells(column).cast(pl.String)

    def whole(self, column: str, expected: str = "a whole number from 0 up") -> pl.Series:
        """The column as int64 of at least 0."""
        parsed = self._cells(column).cast(pl.Int64, strict=False)
        self.refuse(column, parsed.is_null() | (parsed < 0).fill_null(True), expected)
        return parsed

    def numbers(self, column: str) -> pl.Series:
        """The column as int64 where all are whole, else float64; dates as their number."""
        series = self._cells(column)
        if series.dtype.is_temporal():
            series = series.to_physical()
        parsed = series.cast(pl.Int64, strict=False) if series.dtype == pl.String else series
        if parsed.null_count() or not parsed.dtype.is_integer():
            parsed = series.cast(pl.Float64, strict=False)
            self.refuse(column, ~parsed.is_finite().fill_null(False), "a finite number")
        return parsed

    def coded(self, column: str, codes: dict[str, int]) -> pl.Series:
        """The column through ``codes``, as int8."""
        text = self._cells(column).cast(pl.String, strict=False)
        parsed = text.replace_strict(codes, default=None, return_dtype=pl.Int8)
        self.refuse(column, parsed.is_null(), "one of: " + ", ".join(codes))
        return parsed

    def _cells(self, column: str) -> pl.Series:
        series = self.frame[column]
        if series.dtype.is_nested():
            raise FusionlabError(
                f"{self.file}: found lists or objects in the column {column!r}, "
                "expected one value in each row"
            )
        return series


@dataclass(frozen=True)
class Column:
    """A column of ids that knows where it came from."""

    table: Table
    name: str

    def ids(self) -> pl.Series:
        """The ids as text; none may be empty."""
        return self.table.ids(self.name)

    def refuse(self, wrong: pl.Series, expected: str) -> None:
        """Name the first id for which ``wrong`` is true, if there is one."""
        self.table.refuse(self.name, wrong, expected)
