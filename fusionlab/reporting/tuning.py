"""The ledger of tuning: what was tried of each row, what that took, and what it found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml

from fusionlab.layers import changed
from fusionlab.reporting.cost import seconds_text
from fusionlab.reporting.table import ABSENT, Cell, Column, Group, Table, decimal, grouped
from fusionlab.studies.record import Row
from fusionlab.studies.trials.records import OUTCOMES, Ledger

Figure = tuple[Column, Callable[[Ledger], Cell]]
HOW = (
    "from the trials of the row's search, NNNN/trial.json in a folder of searches in the store; "
    "the runs are those with what it chose"
)
"""Where a ledger's cells come from: no record of a run holds them."""


def tuned(rows: Sequence[Row]) -> list[Row]:
    """The rows that were tuned."""
    return [row for row in rows if row.ledger is not None]


def tuning_table(rows: Sequence[Row], *, title: str = "Tuning") -> Table:
    """Of each tuned row: trials, seconds, peak memory, and the best value on validation beside that
    of the options as they are written. A row names its search (``searches/ID`` in the store)."""
    ledgers = {row.label: row.ledger for row in rows if row.ledger is not None}
    select = next(iter(ledgers.values())).select
    return Table(
        title=title,
        columns=[Column("row", "text"), *(column for column, _ in _figures(select))],
        groups=[
            Group(name, [_cells(row, select) for row in members])
            for name, members in grouped(tuned(rows)).items()
        ],
        notes=[
            *tuning_notes(rows),
            f"{select} of single trials, highest over their epochs. Seconds of all trials of a "
            "row, one after the other; MB = 10^6 bytes of resident memory, of the trial that took "
            "most. A trial that was interrupted counts from its last start.",
        ],
        sources={label: [ledger.search] for label, ledger in ledgers.items()},
    )


def tuning_notes(rows: Sequence[Row]) -> list[str]:
    """How rows were tuned; nothing of a study that tuned none. No times: see the ledger."""
    ledgers = [row.ledger for row in rows if row.ledger is not None]
    if not ledgers:
        return []
    counts = sorted({len(one.trials) for one in ledgers if not one.nothing_to_tune})
    trials = " to ".join(map(str, dict.fromkeys((*counts[:1], *counts[-1:])))) or "no"
    notes = [
        f"Every row was tuned by {trials} trials ({ledgers[0].how}) on validation alone, at "
        f"training seed {ledgers[0].seed}; the first are the options as they are written. What was "
        "best then ran with every seed."
    ]
    idle = [row.label for row in rows if row.ledger is not None and row.ledger.nothing_to_tune]
    if idle:
        notes.append(f"Nothing to tune: {', '.join(idle)}.")
    return notes


def trials_cell(row: Row) -> Cell:
    """How many trials a row had."""
    return ABSENT if row.ledger is None else _count(len(row.ledger.trials))


def changes_text(changes: Mapping[str, Any]) -> str:
    """``learning_rate=0.0031, rank=4``, or ``as written``."""
    said = [f"{key.rsplit('.', 1)[-1]}={_value(value)}" for key, value in changes.items()]
    return ", ".join(said) or "as written"


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _count(value: int) -> Cell:
    return Cell(str(value), value)


def _figures(select: str) -> list[Figure]:
    def written(ledger: Ledger) -> Cell:
        value = ledger.as_written
        return ABSENT if value is None else Cell(decimal(value), value)

    def best(ledger: Ledger) -> Cell:
        assert ledger.best.value is not None
        return Cell(decimal(ledger.best.value), ledger.best.value)

    return [
        (_column("trials"), lambda ledger: _count(len(ledger.trials))),
        (_column("pruned"), lambda ledger: _count(ledger.count("pruned"))),
        (_column("diverged"), lambda ledger: _count(ledger.count("diverged"))),
        (
            _column("seconds"),
            lambda ledger: Cell(seconds_text(ledger.seconds), ledger.seconds),
        ),
        (
            _column("peak MB"),
            lambda ledger: Cell(f"{ledger.peak_memory_mb:,.0f}", ledger.peak_memory_mb),
        ),
        (_column(f"{select} as written", header="as written"), written),
        (_column(f"{select} best", header="best"), best),
        (_column("found in trial"), lambda ledger: _count(ledger.best.number + 1)),
        (_column("chosen", "text"), lambda ledger: Cell(changes_text(ledger.best.changes))),
    ]


def _column(name: str, kind: Literal["text", "number"] = "number", header: str = "") -> Column:
    return Column(name, kind, header=header, how=HOW)


def _cells(row: Row, select: str) -> list[Cell]:
    ledger = row.ledger
    assert ledger is not None
    return [Cell(row.label), *(cell(ledger) for _, cell in _figures(select))]


def told_of(ledger: Ledger) -> list[str]:
    """The ledger of one search in lines that are comments of YAML."""
    best = ledger.best
    assert best.value is not None
    written = ledger.as_written
    counted = ", ".join(
        f"{ledger.count(outcome)} {outcome}" for outcome in OUTCOMES if ledger.count(outcome)
    )
    return [
        f"# {len(ledger.trials)} trials ({counted}; {ledger.how}), "
        f"{seconds_text(ledger.seconds)} s, peak {ledger.peak_memory_mb:,.0f} MB",
        f"# {ledger.select} on validation: {decimal(best.value)} in trial {best.number + 1}"
        + (f"; as written {decimal(written)}" if written is not None else ""),
    ]


def tuned_yaml(
    changes: Mapping[str, Any],
    base: Path | None = None,
    out: Path | None = None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The changes as YAML; with ``base``, as the file ``out`` that extends it and its overrides."""
    data = changed(overrides, changes)
    if base is not None and out is not None:
        data = {"base": os.path.relpath(base, out.parent), **data}
    return yaml.safe_dump(data, sort_keys=False).rstrip("\n") + ("\n" if out else "")
