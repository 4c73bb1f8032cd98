"""A table as data: what stands in it, before anybody decides how it looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from fusionlab.studies.record import Row


class Emphasis(StrEnum):
    """How a cell stands out; every renderer draws best in bold and second best underlined."""

    NONE = "none"
    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` is what a reader sees, ``value`` the figure behind it in full precision."""

    text: str
    value: float | None = None
    emphasis: Emphasis = Emphasis.NONE


ABSENT = Cell("")

Place = tuple[str, ...]
"""Where in a run record a figure stands: ``("metrics", "test", "ndcg@20")``, or the column of its
per-user values, ``("per_user", "test", "ndcg@20")``."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; one that is not ``shown`` is printed in CSV only.

    ``name`` is unique in the table and heads the column in CSV; where readers see the neighbouring
    columns a shorter ``header`` may do. Its cells say where they come from: of the records of
    their row (and of the rows ``beside`` it) they read ``reads``, and become a figure as ``how``
    says.
    """

    name: str
    kind: Literal["text", "number"] = "number"
    shown: bool = True
    header: str = ""
    reads: tuple[Place, ...] = ()
    how: str = ""
    beside: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """What readers see above the column."""
        return self.header or self.name


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring rows under one heading; every row has a cell a column, its label first."""

    name: str
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Table:
    """A table: columns, groups of rows, notes below it and the runs behind each row.

    ``sources`` maps a row's label to the ids of the runs that its figures came from.
    """

    title: str
    columns: list[Column]
    groups: list[Group]
    notes: list[str] = field(default_factory=list)
    sources: dict[str, list[str]] = field(default_factory=dict)

    def shown(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells of a row whose column is shown."""
        return [cell for cell, column in zip(cells, self.columns, strict=True) if column.shown]

    def rows(self) -> Iterator[list[Cell]]:
        """All rows, whatever their group."""
        for group in self.groups:
            yield from group.rows


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows under their headings: controls, strategies by level, ceilings; else as they came."""
    groups: dict[str, list[Row]] = {"Controls": [row for row in rows if row.kind == "control"]}
    for row in rows:
        if row.kind == "strategy":
            name = f"{row.level.capitalize()} level" if row.level else "Strategies"
            groups.setdefault(name, []).append(row)
    groups["Ceilings"] = [row for row in rows if row.kind == "ceiling"]
    return {name: members for name, members in groups.items() if members}


def decimal(value: float, digits: int = 4) -> str:
    """A figure as papers print shares: ``.1234``, ``-.0012``, ``1.0000``."""
    text = f"{value:.{digits}f}"
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not text.strip("0."):
        sign = ""
    return sign + (text[1:] if text.startswith("0.") else text)


def probability(value: float) -> str:
    """A p-value to three digits: ``.012``, ``<.001``."""
    return "<.001" if value < 0.001 else decimal(value, 3)
