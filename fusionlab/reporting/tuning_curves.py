"""The figure of tuning: how the best value of each row rose with the time spent on it."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fusionlab.reporting.style import (
    BLACK,
    DOUBLE_WIDTH,
    GREY,
    HALF,
    LIGHT,
    SMALL_FONT,
    Mark,
    marks_of,
    new_figure,
    styled,
)
from fusionlab.reporting.tuning import tuned
from fusionlab.studies.record import Row
from fusionlab.studies.trials.records import Ledger

ACROSS, PER_PAGE = 4, 16
"""Panels side by side, and on a page."""
TITLE = 26
"""Characters in a line of a panel's title."""
OTHERS = {"control": Mark(GREY, "o"), "ceiling": Mark(BLACK, "o")}


def tuning_curves(rows: Sequence[Row], *, width: float = DOUBLE_WIDTH) -> list[Figure]:
    """Of every row that was tuned, a panel: the best value on validation so far, by seconds.

    A mark is a trial, at the time when it ended: filled where it was complete, open where it was
    pruned, a cross below where its loss became infinite. The dashed line is the best of the options
    as they are written. Panels of a page, `PER_PAGE` at most, share the scale of values. No page
    where nothing was tuned.
    """
    shown = [row for row in tuned(rows) if row.ledger and not row.ledger.nothing_to_tune]
    across, per_page = (ACROSS, PER_PAGE) if width > HALF else (ACROSS // 2, PER_PAGE // 2)
    pages = -(-len(shown) // per_page)
    parts = np.array_split(np.arange(len(shown)), pages) if pages else []
    return [_page([shown[k] for k in part], marks_of(rows), width, across) for part in parts]


def _page(rows: Sequence[Row], marks: dict[str, Mark], width: float, most: int) -> Figure:
    across = min(most, len(rows))
    down = -(-len(rows) // across)
    with styled():
        figure = new_figure(width, 0.8 + 1.5 * down)
        first: Axes | None = None
        for place, row in enumerate(rows):
            axes = figure.add_subplot(down, across, place + 1, sharey=first)
            first = first or axes
            assert row.ledger is not None
            _draw(axes, row.ledger, OTHERS.get(row.kind) or marks[row.level])
            title = "\n".join(textwrap.wrap(row.label, TITLE))
            axes.set_title(title, loc="left", fontsize=SMALL_FONT, parse_math=False)
            axes.tick_params(labelleft=place % across == 0)
        ledger = rows[0].ledger
        assert ledger is not None
        figure.supylabel(
            f"{ledger.select} on validation", fontsize=SMALL_FONT, color=GREY, parse_math=False
        )
        figure.supxlabel("Seconds of the row's trials", fontsize=SMALL_FONT, color=GREY)
        figure.legend(handles=_legend(), loc="outside upper left", ncols=most + 1)
    return figure


def _draw(axes: Axes, ledger: Ledger, mark: Mark) -> None:
    spent = list(itertools.accumulate(trial.seconds for trial in ledger.trials))
    for at, trial in zip(spent, ledger.trials, strict=True):
        if trial.value is None:
            axes.plot([at], [0.03], "x", color=mark.color, transform=axes.get_xaxis_transform())
            continue
        face = mark.color if trial.outcome == "complete" else "none"
        axes.plot(
            [at],
            [trial.value],
            marker=mark.marker,
            color=mark.color,
            markerfacecolor=face,
            markeredgewidth=0.6,
            markersize=3,
        )
    if course := ledger.course:
        times, best = zip(*course, strict=True)
        axes.step(times, best, where="post", color=mark.color)
    if ledger.as_written is not None:
        axes.axhline(ledger.as_written, color=GREY, linestyle="dashed", linewidth=0.6, zorder=0)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=LIGHT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _legend() -> list[Line2D]:
    kinds = {"complete": GREY, "pruned": "none"}
    trials = [
        Line2D([], [], marker="o", color=GREY, markerfacecolor=face, linestyle="none", label=name)
        for name, face in kinds.items()
    ]
    diverged = Line2D([], [], marker="x", color=GREY, linestyle="none", label="diverged")
    best = Line2D([], [], color=GREY, label="best so far")
    written = Line2D([], [], color=GREY, linestyle="dashed", linewidth=0.6, label="as written")
    return [*trials, diverged, best, written]
