"""A board's table and figures as HTML, and what stands behind a row."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from functools import lru_cache
from html import escape
from io import BytesIO
from itertools import compress
from threading import Lock

import yaml
from matplotlib.figure import Figure

from fusionlab.errors import FusionlabError
from fusionlab.explorer.boards import Board
from fusionlab.explorer.cards import alert, note
from fusionlab.reporting.dynamics import learning_speed
from fusionlab.reporting.quality_against_cost import CostName, quality_against_cost, timed
from fusionlab.reporting.robustness import curves_in, robustness
from fusionlab.reporting.style import styled
from fusionlab.reporting.table import Cell, Column, Table, decimal, grouped
from fusionlab.studies.record import Row, RunRecord

COST: CostName = "seconds_per_epoch"
DPI = 160
WIDTH = 6.0
"""Inches of a figure: its text is legible on a screen of ordinary width."""

_DRAWING = Lock()
"""The style of figures is set for the whole process."""


def levels_of(board: Board) -> list[str]:
    """The groups of a board's rows: controls, strategies by level, ceilings."""
    return list(grouped(board.rows))


@lru_cache(maxsize=32)
def table_of(board: Board) -> Table:
    """The quality table of a board, with every row: what is tested does not depend on a filter."""
    return board.results.quality(board.title)


def table_html(board: Board, levels: Collection[str]) -> str:
    """The rows of some levels, in columns that say something. Headings are buttons that sort,
    labels are buttons that open."""
    try:
        table = table_of(board)
    except FusionlabError as error:
        return alert(str(error))
    told = [any(cells[place].text for cells in table.rows()) for place in range(len(table.columns))]
    shown = [one.shown and says for one, says in zip(table.columns, told, strict=True)]
    columns = [*compress(table.columns, shown)]
    heads = [_heading("level", "text", 0)]
    heads += [_heading(one.name, one.kind, place) for place, one in enumerate(columns, 1)]
    rows = [
        _row(columns, group.name, [*compress(cells, shown)])
        for group in table.groups
        if group.name in levels
        for cells in group.rows
    ]
    caption = f'<caption class="fl-hidden">{escape(table.title)}</caption>'
    return (
        f'<div class="fl-scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f'<table class="fl-table fl-sortable">{caption}<thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<details class="fl-notes"><summary>Notes</summary>'
        f"{''.join(map(note, table.notes))}</details>"
    )


def _heading(name: str, kind: str, place: int) -> str:
    number = ' class="fl-number"' if kind == "number" else ""
    return (
        f'<th scope="col" aria-sort="none"{number}><button type="button" data-sort="{place}">'
        f"{escape(name)}</button></th>"
    )


def _row(columns: Sequence[Column], level: str, cells: Sequence[Cell]) -> str:
    made = [f'<td data-value="{escape(level)}">{escape(level)}</td>']
    for column, cell in zip(columns, cells, strict=True):
        text = escape(cell.text)
        if column is columns[0]:
            made.append(
                f'<th scope="row" data-value="{text}"><button type="button" class="fl-open" '
                f'data-act="row" data-row="{text}">{text}</button></th>'
            )
            continue
        value = "" if cell.value is None else repr(float(cell.value))
        number = "fl-number" if column.kind == "number" else ""
        made.append(f'<td class="{number} fl-{cell.emphasis}" data-value="{value}">{text}</td>')
    return f"<tr>{''.join(made)}</tr>"


def row_html(board: Board, label: str) -> str:
    """A row's configuration and its runs."""
    row = board.row(label)
    warnings = dict.fromkeys(text for record in row.records for text in record.warnings)
    runs = "".join(_run(record, board.main) for record in row.records)
    heads = ["seed", "run", f"{board.main}, valid", f"{board.main}, test", "epochs", "seconds"]
    heads += ["coalitions trained"]
    config = yaml.safe_dump(row.records[0].config, sort_keys=False)
    return (
        f'<h3 class="fl-heading">{escape(label)}</h3>{"".join(map(alert, warnings))}'
        f'<div class="fl-scroll" tabindex="0" role="region" aria-label="Runs of {escape(label)}">'
        f'<table class="fl-table"><thead><tr>{"".join(map(_plain, heads))}</tr></thead>'
        f"<tbody>{runs}</tbody></table></div>"
        '<details class="fl-notes" open><summary>Configuration (of the first seed)</summary>'
        f'<pre tabindex="0">{escape(config)}</pre></details>'
    )


def _plain(text: str) -> str:
    return f'<th scope="col">{escape(text)}</th>'


def _run(record: RunRecord, main: str) -> str:
    cells = [
        str(record.config["seed"]),
        record.id[:12],
        *(_measured(record, split, main) for split in ("valid", "test")),
        str(record.cost.epochs),
        f"{record.cost.seconds:.1f}",
        record.coalition_training,
    ]
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _measured(record: RunRecord, split: str, main: str) -> str:
    value = record.metrics.get(split, {}).get(main)
    return "" if value is None else decimal(value)


def figures_html(board: Board, levels: Collection[str]) -> str:
    """Quality against cost, robustness and learning speed of the rows of some levels, as far as
    they were measured."""
    with _DRAWING:
        return _figures_html(board, tuple(name for name in levels_of(board) if name in levels))


@lru_cache(maxsize=32)
def _figures_html(board: Board, levels: tuple[str, ...]) -> str:
    rows = [row for name, some in grouped(board.rows).items() if name in levels for row in some]
    drawn = []
    if timed(rows, COST):
        figure = quality_against_cost(rows, board.main, cost=COST, width=WIDTH)
        drawn.append(("Quality against cost", _cost_alt(rows, board.main), figure))
    if rows and curves_in(rows, board.main):
        alt = f"{board.main} of each row as more is missing or noise grows"
        drawn.append(("Robustness", alt, robustness(rows, board.main, width=WIDTH)))
    pages = learning_speed(rows, width=WIDTH)
    for page in pages:
        alt = "each modality's own loss by epoch, and how fast it fell, a panel a row"
        drawn.append(("Learning speed", alt, page))
    return "".join(_figure(*one) for one in drawn) or note("nothing was measured to be drawn")


def _cost_alt(rows: Sequence[Row], metric: str) -> str:
    told = [
        f"{row.label} {_mean([r.metrics['test'][metric] for r in row.records]):.4f} in "
        f"{_mean([r.cost.seconds_per_epoch for r in row.records]):.2f} s"
        for row in timed(rows, COST)
    ]
    return f"{metric} against seconds an epoch: {'; '.join(told)}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _figure(title: str, alt: str, figure: Figure) -> str:
    content = BytesIO()
    with styled():
        figure.savefig(content, format="png", dpi=DPI)
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f'<figure class="fl-figure"><figcaption>{escape(title)}</figcaption>'
        f'<div class="fl-scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}"></div></figure>'
    )
