"""Lists of recommendations and logs of feedback, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from fusionlab.serving.events import Event
from fusionlab.serving.lists import Recommended

LONGEST_TITLE = 60


def recommended_table(found: Recommended) -> Table:
    """A row an item: rank, id, score, title; what modalities and views count, where told."""
    who = "a stranger" if found.user is None else f"user {found.user}"
    where = "".join(f", {name}={value}" for name, value in found.context.items())
    title = Text(f"run {found.run[:12]}: for {who}{where}")
    table = Table(title=title, title_justify="left", box=None)
    titled = any(item.title for item in found.items)
    names = list(found.items[0].contributions) if found.items else []
    views = list(found.items[0].view_weights) if found.items else []
    for header in ("", "item", "score"):
        table.add_column(header, justify="left" if header == "item" else "right")
    for header in [*names, *(f"weight of {view}" for view in views)]:
        table.add_column(header, justify="right")
    if titled:
        table.add_column("title")
    for rank, item in enumerate(found.items, 1):
        cells: list[str | Text] = [
            Text(f"{item.item} (new)" if item.new else item.item),
            f"{item.score:.4f}",
        ]
        cells += [f"{item.contributions[name]:+.4f}" for name in names]
        cells += [f"{item.view_weights[view]:.3f}" for view in views]
        table.add_row(str(rank), *cells, *([Text(_short(item.title or ""))] if titled else []))
    return table


def told_of(found: Recommended, explained: bool) -> list[str]:
    """What a reader of a list must know, a line each."""
    lines = list(found.notes)
    if found.recall is not None:
        lines.append(
            f"approximate index: recall {found.recall:.4f} of the exact lists{_how(found)}"
        )
    if explained and found.hidden:
        lines.append(
            "what modalities count is left out: the model has seen no subset of them in training "
            "(--untrained-coalitions tells all the same)"
        )
    elif explained:
        lines.append(
            "by modality: what the score loses without it (coalitions trained: "
            f"{found.coalition_training})"
        )
    return lines


def _how(found: Recommended) -> str:
    """How the index searched, and how fast, where that is known."""
    told, said = found.index, ""
    if told:
        said = f", {told['probed']:,} of {told['lists']:,} lists probed (--probed)"
    if "per_second" in told:
        said += (
            f"; {told['per_second']:,.0f} queries/s beside {told['exact_per_second']:,.0f} exact"
        )
        said += f" ({told['queries']:,} at once)"
    return said


def event_table(events: Sequence[Event]) -> Table:
    """A row an event, in the order in which they were logged."""
    table = Table(box=None)
    for header in ("time", "kind", "user", "item", "rating", "list", "context"):
        table.add_column(header)
    for event in events:
        when = _when(event.time or 0)
        rating = "" if event.rating is None else f"{event.rating:g}"
        context = "" if event.context is None else str(event.context)
        cells = (when, event.kind, event.user, event.item, rating, event.list or "", context)
        table.add_row(*map(Text, cells))
    return table


def _when(time: float) -> str:
    """The date, or the seconds that are none (before the year 1, or after 9999)."""
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{time:g}"


def _short(title: str) -> str:
    line = " ".join(title.split())
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 3]}..."
