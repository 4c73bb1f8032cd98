"""Situations of clicks: what the context columns of an interaction (hour, device, ...) say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import torch
from torch import Tensor

from fusionlab.data.fingerprint import text_content
from fusionlab.data.tables import Table
from fusionlab.errors import FusionlabError, one_of


@dataclass(frozen=True)
class Situations:
    """The context columns of a dataset and the values that train clicks have in each.

    A situation is a code a column, (n,) for n columns: the place of its value among the C of the
    column, or C, *unknown*, for a value that is missing or that no train click has. ``reads`` are
    the columns that a model is told of; it is judged by all of them.
    """

    values: Mapping[str, tuple[str, ...]]
    reads: tuple[str, ...]

    @classmethod
    def of(cls, train: pl.DataFrame) -> Situations:
        """From the columns of the train clicks, as text; whole numbers are sorted as such."""
        values = {name: _in_order(train[name].drop_nulls().unique()) for name in train.columns}
        return cls(values, tuple(values))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def unknown(self) -> Tensor:
        """(n,): the situation of which nothing is known."""
        return torch.tensor([len(values) for values in self.values.values()])

    def codes(self, clicks: pl.DataFrame) -> Tensor:
        """(E, n): the situation of each of E rows."""
        columns = [
            clicks[name].replace_strict(
                values, range(len(values)), default=len(values), return_dtype=pl.Int64
            )
            for name, values in self.values.items()
        ]
        return torch.from_numpy(pl.DataFrame(columns).to_numpy().copy()).reshape(-1, len(self))

    def code(self, given: Mapping[str, str]) -> Tensor:
        """(n,): the situation of ``given`` values; columns that are not given are unknown.

        Raises:
            FusionlabError: no such column (names the nearest one).
        """
        for name in given:
            if name not in self.values:
                raise FusionlabError(f"context: {one_of(name, self.values)}")
        row = {name: [given.get(name)] for name in self.values}
        return self.codes(pl.DataFrame(row, schema=dict.fromkeys(row, pl.String)))[0]

    def told_in(self, frame: pl.DataFrame) -> Tensor:
        """(E, n): the situation of each row of a frame that need not have every context column;
        one that it does not have is unknown."""
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(frame))
        there = {
            name: frame[column] if (column := column_of(name)) in frame.columns else nothing
            for name in self.values
        }
        return self.codes(pl.DataFrame(there))

    def reading(self, names: Sequence[str]) -> Situations:
        """The same, of which a model is told only the columns ``names``."""
        return replace(self, reads=tuple(name for name in self.values if name in names))


def column_of(name: str) -> str:
    """Where the context column ``name`` stands in a frame of clicks, beside user, item, time."""
    return f"context {name}"


def context_of(clicks: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The context columns ``names`` of a frame of clicks, under their own names."""
    return clicks.select(pl.col(column_of(name)).alias(name) for name in names)


def with_context(clicks: pl.DataFrame, table: Table, names: Sequence[str]) -> pl.DataFrame:
    """The clicks, which are the rows of ``table``, with its columns ``names`` as context."""
    for name in names:
        if names.count(name) > 1:
            raise FusionlabError(
                f"context: found {name!r} {names.count(name)} times, expected once"
            )
    return clicks.with_columns(table.texts(name).alias(column_of(name)) for name in names)


def context_in(frame: pl.DataFrame) -> list[str]:
    """The names of the context columns that a frame has, under which `column_of` finds them."""
    start = column_of("")
    return [name.removeprefix(start) for name in frame.columns if name.startswith(start)]


def context_content(clicks: pl.DataFrame, names: Sequence[str]) -> list[Tensor | str]:
    """What a fingerprint takes of context columns; nothing where there are none."""
    found: list[Tensor | str] = []
    for name in names:
        cells = clicks[column_of(name)]
        missing = torch.from_numpy(cells.is_null().to_numpy().copy())
        found += [f"context {name}", missing, *text_content(cells.fill_null(""))]
    return found


def cell(value: object) -> str | None:
    """A value of JSON as a context column would hold it, as text; None where it holds nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    return (str(value) or None) if isinstance(value, str | int | float) else None


def _in_order(values: pl.Series) -> tuple[str, ...]:
    found = values.to_list()
    whole = all(value.isdecimal() for value in found)
    return tuple(sorted(found, key=(lambda value: (int(value), value)) if whole else None))
