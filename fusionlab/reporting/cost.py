"""The cost table: what a run took, medians over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fusionlab.errors import FusionlabError
from fusionlab.reporting.comparison import Leaders
from fusionlab.reporting.table import Cell, Column, Group, Table, decimal, grouped
from fusionlab.studies.record import Cost, Row

Figure = tuple[str, str, Callable[[float], str]]


def _count(value: float) -> str:
    return f"{value:,.0f}"


def seconds_text(value: float) -> str:
    """Three significant digits: 0.0123, 1.23, 12.3, 1,234."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = 2 if value == 0 else max(0, 2 - int(np.floor(np.log10(value))))
    return f"{value:.{digits}f}"


FIGURES: list[Figure] = [
    ("parameters", "parameters", _count),
    ("epochs", "epochs", _count),
    ("seconds", "seconds", seconds_text),
    ("s/epoch", "seconds_per_epoch", seconds_text),
    ("evaluation s", "evaluation_seconds", seconds_text),
    ("peak MB", "peak_memory_mb", _count),
]
"""Heading, field of `Cost`, and how it is printed."""


def cost_table(
    rows: Sequence[Row], *, leaders: Leaders | None = None, title: str = "Cost"
) -> Table:
    """Parameters, epochs, seconds, seconds an epoch, evaluation seconds and peak memory of a run.

    Each figure is the median over a row's runs with their range (least to most) where they differ.
    ``leaders`` are the strategies that no test tells from the best; the notes name the cheapest of
    them. Ceilings are left out: nothing was trained. Times compare on one machine
    only; the notes say where the runs were made and in what their environments differ.
    """
    rows = [row for row in rows if row.kind != "ceiling"]
    if not rows:
        raise FusionlabError("cost table: found no rows that were trained, expected at least one")
    for row in rows:
        if not row.records:
            raise FusionlabError(f"row {row.label!r}: found no runs, expected one a seed")
    columns = [
        Column("row", "text", how="the label of the row in its study"),
        Column("runs counted", shown=False, how="how many runs the row has"),
    ]
    for header, field, _ in FIGURES:
        reads = (("cost", field),)
        columns += [
            Column(header, reads=reads, how="median over the row's runs (least to most)"),
            Column(f"{header} min", shown=False, reads=reads, how="least of the row's runs"),
            Column(f"{header} max", shown=False, reads=reads, how="most of the row's runs"),
        ]
    return Table(
        title=title,
        columns=columns,
        groups=[
            Group(name, [_cells(row) for row in members]) for name, members in grouped(rows).items()
        ],
        notes=[
            "Medians over seeds (range over seeds); MB = 10^6 bytes of resident memory.",
            *_cheapest(rows, leaders),
            *_environment(rows),
        ],
        sources={row.label: [record.id for record in row.records] for row in rows},
    )


def _cheapest(rows: Sequence[Row], leaders: Leaders | None) -> list[str]:
    """Which of the strategies that are as good as the best trains in the least time in all."""
    if leaders is None or not leaders.labels:
        return []
    times = {
        row.label: float(np.median([_training_seconds(record.cost) for record in row.records]))
        for row in rows
        if row.label in leaders.labels
    }
    least = min(times.values())
    cheapest = ", ".join(label for label, time in times.items() if time == least)
    takes = f"{seconds_text(least)} s of training" if least else "nothing to train"
    others = f" (intervals reach {decimal(leaders.margin)} below it)" if leaders.margin else ""
    return [
        f"No test tells from the best{others}: {', '.join(leaders.labels)}. Cheapest of them to "
        f"train: {cheapest}, with {takes}."
    ]


def _training_seconds(cost: Cost) -> float:
    return cost.seconds_per_epoch * cost.epochs


def _cells(row: Row) -> list[Cell]:
    runs = len(row.records)
    cells = [Cell(row.label), Cell(str(runs), runs)]
    for _, field, text in FIGURES:
        values = [getattr(record.cost, field) for record in row.records]
        median, low, high = float(np.median(values)), min(values), max(values)
        shown = text(median)
        if text(low) != text(high):
            shown += f" ({text(low)}–{text(high)})"
        cells += [Cell(shown, median), Cell(text(low), low), Cell(text(high), high)]
    return cells


def _environment(rows: Sequence[Row]) -> list[str]:
    environments = [record.environment for row in rows for record in row.records]
    found = {
        key: sorted({environment.get(key, "unknown") for environment in environments})
        for key in dict.fromkeys(key for environment in environments for key in environment)
    }
    common = [f"{key} {values[0]}" for key, values in found.items() if len(values) == 1]
    notes = [f"Measured with: {', '.join(common)}."] if common else []
    for key, values in found.items():
        if len(values) > 1:
            notes.append(f"Costs compare only in part: the runs differ in {key}: {values}.")
    return notes
