"""What the terminal shows: progress bars and cards."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from fusionlab.encoders.store import Encoded
    from fusionlab.fusion.checks import CheckResult
    from fusionlab.studies.record import RunRecord


def _console(width: int | None = None) -> Console:
    """A terminal that shows text as it is: names in data may look like markup or an emoji."""
    return Console(width=width, markup=False, emoji=False)


console = _console()


def show(*things: RenderableType) -> None:
    """Print things one after the other; neither a wide table nor a long line of text is cut.

    Text is printed line by line as it is written: a wrapped formula is hard to read and to search.
    """
    unbounded = console.options.update(max_width=10_000)
    for thing in things:
        needed = 0
        if isinstance(thing, Table):
            needed = Measurement.get(console, unbounded, thing).maximum
        (console if needed <= console.width else _console(needed)).print(
            thing, soft_wrap=isinstance(thing, Text)
        )


def say(*lines: str) -> None:
    """Print plain lines."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def epochs(total: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """A bar over the epochs of one run, with the loss and time left."""
    bar = _bar(TextColumn("{task.fields[note]}", markup=False))
    task = bar.add_task("training", total=total, note="")

    def on_epoch(entry: dict[str, float]) -> None:
        bar.start()  # at the first epoch: what is not trained shows no bar
        bar.update(task, completed=entry["epoch"], note=f"loss {entry['loss']:.4f}")

    try:
        yield on_epoch
    finally:
        bar.stop()


@contextmanager
def runs(title: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """A bar over the runs of a study, with time left where it is known how many there are."""
    with _bar() as bar:
        task = bar.add_task(title, total=total)
        yield lambda _run: bar.advance(task)


@contextmanager
def encoding() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each modality that is encoded, with items/s."""
    with _bar(TextColumn("{task.fields[speed]}", markup=False)) as bar:
        tasks: dict[str, TaskID] = {}
        first: dict[str, tuple[int, float]] = {}

        def on_items(modality: str, done: int, total: int) -> None:
            if modality not in tasks:
                tasks[modality] = bar.add_task(f"encoding {modality}", total=total, speed="")
                first[modality] = done, time.monotonic()
            begun, at = first[modality]
            passed = time.monotonic() - at
            speed = f"{(done - begun) / passed:,.0f} items/s" if passed and done > begun else ""
            bar.update(tasks[modality], completed=done, speed=speed)

        yield on_items


def encoded_table(columns: Mapping[str, Encoded]) -> Table:
    """What became of every item: a row a modality and reason, whatever numbers are in it."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for header in ("modality", "items", "status", "why"):
        table.add_column(header, justify="right" if header == "items" else "left")
    for modality, column in columns.items():
        counts = Counter(
            (one.status, re.sub(r"\d[\d,.]*", "N", one.why)) for one in column.statuses
        )
        for (status, why), items in sorted(counts.items(), key=lambda pair: -pair[1]):
            table.add_row(modality, f"{items:,}", status, why)
    return table


def run_card(record: RunRecord) -> Table:
    """The metrics of one run, a column a split."""
    table = Table(title=f"run {record.id[:12]}", header_style="bold")
    splits = list(record.metrics)
    table.add_column("metric")
    for split in splits:
        table.add_column(split, justify="right")
    # A split that has no cold item, or no warm one, has no figures of them.
    for name in dict.fromkeys(name for split in splits for name in record.metrics[split]):
        found = (record.metrics[split].get(name) for split in splits)
        table.add_row(name, *("" if value is None else f"{value:.4f}" for value in found))
    cost = record.cost
    table.caption = (
        f"{cost.epochs} epochs, {cost.seconds:.1f} s, {cost.parameters:,} parameters, "
        f"peak {cost.peak_memory_mb:,.0f} MB"
    )
    return table


def warning_panels(record: RunRecord) -> list[Panel]:
    """What a reader of a run's metrics must not overlook, each in a frame."""
    return [
        Panel(
            Text(text, style="bold red"), title=Text("WARNING", "bold red"), border_style="bold red"
        )
        for text in record.warnings
    ]


def last_signals(record: RunRecord) -> list[str]:
    """What each modality said alone in the last epoch, and on what coalitions the model was
    trained; nothing of a run that has no signals."""
    from fusionlab.balancing.signals import SIGNALS

    entry = record.history[-1] if record.history else {}
    told = {
        name: ", ".join(
            f"{k} {entry[f'{k}.{name}']:.3g}" for k in SIGNALS if f"{k}.{name}" in entry
        )
        for name in record.dataset.get("features", ())
    }
    lines = [f"{name} alone: {signals}" for name, signals in told.items() if signals]
    trained = record.coalition_training
    warning = ": it never saw a subset, these may mislead" if trained == "none" else ""
    return [*lines, f"coalitions trained: {trained}{warning}"] if lines else []


def check_table(results: Sequence[CheckResult]) -> Table:
    """The contract checks, a row a strategy and check."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for header in ("fusion", "check", "result"):
        table.add_column(header)
    for result in results:
        verdict = Text(result.problem, "red") if result.problem else Text("holds", "green")
        table.add_row(result.fusion, result.check, verdict)
    return table


def _bar(*extra: TextColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        *extra,
        console=console,
    )
