"""Where a cell of a table comes from: the run records behind it, and how it was made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fusionlab.errors import FusionlabError, one_of
from fusionlab.reporting.table import ABSENT, Cell, Column, Group, Place, Table
from fusionlab.studies.record import Row, RunRecord

LABEL = 0


def why(name: str, table: Table, rows: Sequence[Row], label: str, column: str) -> Table:
    """The records behind the cell of row ``label`` and ``column`` of the table called ``name``.

    A line a run: its seed, what its record holds at every place that the cell reads (of values of
    single users their mean), and the record's file. The note says how the cell comes from them.

    Raises:
        FusionlabError: no such row, or no such column (the name in CSV, or the heading).
    """
    cells = {row[LABEL].text: row for row in table.rows()}
    if label not in cells:
        raise FusionlabError(f"row: {one_of(label, cells)}")
    place = _place(table, column)
    asked, cell = table.columns[place], cells[label][place]
    by_label = {row.label: row for row in rows}
    beside = [other for other in dict.fromkeys(asked.beside) if other != label]
    groups = [
        Group(other, [_line(record, asked.reads) for record in by_label[other].records])
        for other in [label, *(beside if cell != ABSENT else [])]
    ]
    full = "" if cell.value is None else f" ({cell.value!r})"
    return Table(
        title=f"{name}: {label}, {asked.name} = {cell.text or 'nothing'}{full}",
        columns=[
            Column("run", "text"),
            Column("seed"),
            *(Column(".".join(where)) for where in asked.reads),
            Column("record", "text"),
        ],
        groups=groups,
        notes=[asked.how[:1].upper() + asked.how[1:] + "."],
    )


def _place(table: Table, column: str) -> int:
    """By name, which is unique, else by a heading that is."""
    names = [one.name for one in table.columns]
    if column in names:
        return names.index(column)
    headings = [k for k, one in enumerate(table.columns) if one.shown and one.heading == column]
    if len(headings) != 1:
        raise FusionlabError(f"column: {one_of(column, names)}")
    return headings[0]


def _line(record: RunRecord, reads: Sequence[Place]) -> list[Cell]:
    assert record.folder is not None
    seed = record.config.get("seed")
    found = [_at(record, place) for place in reads]
    texts = ["-" if value is None else repr(value) for value in found]
    return [
        Cell(record.id[:12]),
        Cell(str(seed)),
        *map(Cell, texts),
        Cell(str(record.folder / "record.json")),
    ]


def _at(record: RunRecord, place: Place) -> Any:
    """What stands in a record at a place; None where nothing does."""
    if place[0] == "per_user":
        _, split, metric = place
        values = record.per_user().filter(pl.col("split") == split)
        return values[metric].mean() if metric in values.columns else None
    value: Any = record.to_json()
    for key in place:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value
