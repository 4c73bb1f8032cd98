"""The figure of quality against cost: what is a strategy worth for the time it takes?"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from fusionlab.errors import FusionlabError
from fusionlab.reporting.labels import place_labels, spread
from fusionlab.reporting.scores import Floats, Scores, read_scores
from fusionlab.reporting.style import (
    BLACK,
    DOUBLE_WIDTH,
    GREY,
    SMALL_FONT,
    Mark,
    marks_of,
    new_figure,
    styled,
)
from fusionlab.reporting.table import decimal
from fusionlab.studies.record import Row

CostName = Literal["seconds", "seconds_per_epoch"]
COST_LABELS: dict[CostName, str] = {
    "seconds": "Seconds a run (log scale)",
    "seconds_per_epoch": "Seconds an epoch (log scale)",
}
NAMED = 3
"""So many strategies an inch of width are named at their points; more are numbered."""
KEY = 1.6
"""Inches of width for a name in the key to the numbers."""
LINES = {"control": (GREY, "dashed"), "ceiling": (BLACK, "dotted")}
TIE = {"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
NARROW = 18
"""Characters in a line of the names beside a figure of a single column."""
VIEW = 0.6
"""How far the view reaches beyond the strategies, as a share of their range."""


@dataclass(frozen=True)
class Level:
    """A horizontal line: the score of a row that has no cost to compare."""

    label: str
    value: float
    color: str
    dashes: str


def quality_against_cost(
    rows: Sequence[Row],
    metric: str,
    *,
    cost: CostName = "seconds_per_epoch",
    split: str = "test",
    width: float = DOUBLE_WIDTH,
    height: float | None = None,
) -> Figure:
    """A metric against training time: one point a strategy, one line a control or ceiling.

    Points stand at the median over seeds of the time and the mean over seeds of the metric with its
    95 % interval over users. Lines too far from the strategies to be in view are named at the edge
    with an arrow. A strategy that took no time (nothing to train) is a line too. Where there are
    more strategies than there is room for their names (`NAMED`), points are numbered, the best
    first, and the names stand below. The default height (inches) makes room for both.
    """
    scores = read_scores(rows, [metric], split)
    strategies = timed(rows, cost)
    if not strategies:
        raise FusionlabError(
            "quality against cost: found no strategy that took time, expected at least one"
        )
    strategies.sort(key=lambda row: -scores[row.label][metric].mean)
    labels, across = [row.label for row in strategies], max(2, int(width / KEY))
    numbered = len(strategies) > NAMED * width
    with styled():
        crowd = 0.15 * max(0, len(strategies) - 12)
        key = 0.14 * -(-len(strategies) // across)
        figure = new_figure(width, height or 3.2 + (key if numbered else crowd))
        axes = figure.add_subplot()
        points = np.array(
            [[_time(row, cost), scores[row.label][metric].mean] for row in strategies]
        )
        marks = marks_of(rows)
        intervals = [scores[row.label][metric].ends for row in strategies]
        for row, point, interval in zip(strategies, points, intervals, strict=True):
            _draw_point(axes, point, interval, marks[row.level])
        _time_axis(axes, points[:, 0], COST_LABELS[cost])
        axes.set_ylabel(f"{metric} on {split}, 95 % intervals", parse_math=False)
        strategy_means = [scores[row.label][metric].mean for row in rows if row.kind == "strategy"]
        _frame(axes, [*strategy_means, *np.ravel(intervals)])
        figure.legend(handles=_legend(marks), loc="outside upper left", ncols=int(width))
        if numbered:
            _draw_key(figure, labels, across)
            labels = [str(number) for number in range(1, len(labels) + 1)]
        lines = _levels(rows, scores, metric, cost, marks)
        _draw_levels(figure, axes, lines)
        # Labels are placed in pixels: nothing may move afterwards.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        colors = [marks[row.level].color for row in strategies]
        near = _point_boxes(axes, points, intervals)
        across_all = [_line_box(axes, line.value) for line in lines]
        place_labels(axes, points, labels, colors, near, across_all, SMALL_FONT)
    return figure


def timed(rows: Sequence[Row], cost: CostName) -> list[Row]:
    """The strategies that took time: those that `quality_against_cost` draws as points."""
    return [row for row in rows if row.kind == "strategy" and _time(row, cost) > 0]


def _time(row: Row, cost: CostName) -> float:
    return float(np.median([getattr(record.cost, cost) for record in row.records]))


def _draw_point(axes: Axes, point: Floats, interval: tuple[float, float], mark: Mark) -> None:
    axes.plot([point[0]] * 2, interval, color=mark.color, linewidth=0.9, zorder=2)
    axes.plot(*point, marker=mark.marker, color=mark.color, linestyle="none", zorder=3)


def _time_axis(axes: Axes, times: Floats, label: str) -> None:
    axes.set_xscale("log")
    low, high = times.min(), times.max()
    margin = max(high / low, 1.5) ** 0.15
    axes.set_xlim(low / margin, high * margin)
    # Few decades need ticks between the powers of ten, less than one needs others; plain numbers.
    subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    ticks = MaxNLocator(4) if high / low < 8 else LogLocator(subs=subs)
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def _frame(axes: Axes, shown: Sequence[float]) -> None:
    low, high = min(shown), max(shown)
    margin = VIEW * ((high - low) or abs(high) or 1.0)
    floor = 0.0 if low >= 0 else -np.inf  # of shares
    axes.set_ylim(max(floor, low - margin), high + margin)


def _legend(marks: dict[str, Mark]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=mark.color,
            marker=mark.marker,
            linestyle="none",
            label=f"{level} level" if level else "strategies",
        )
        for level, mark in marks.items()
    ]


def _draw_key(figure: Figure, names: Sequence[str], across: int) -> None:
    """What the numbers mean, below the axes."""
    legend = figure.legend(
        handles=[
            Line2D([], [], linestyle="none", label=f"{number}  {name}")
            for number, name in enumerate(names, 1)
        ],
        loc="outside lower left",
        ncols=across,
        handlelength=0,
        handletextpad=0,
        fontsize=SMALL_FONT,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _levels(
    rows: Sequence[Row], scores: Scores, metric: str, cost: CostName, marks: dict[str, Mark]
) -> list[Level]:
    lines = []
    points = timed(rows, cost)
    for row in rows:
        if row in points:
            continue
        color, dashes = LINES.get(row.kind) or (marks[row.level].color, "dashdot")
        lines.append(Level(row.label, scores[row.label][metric].mean, color, dashes))
    return sorted(lines, key=lambda line: line.value)


def _draw_levels(figure: Figure, axes: Axes, lines: list[Level]) -> None:
    """Lines across, each named right of the axes; names that would collide move apart."""
    low, high = axes.get_ylim()
    figure.draw_without_rendering()
    inches = axes.get_window_extent().height / figure.dpi
    line_height = 1.2 * SMALL_FONT / 72 / inches * (high - low)
    names = [_line_name(line, low, high, figure.get_figwidth()) for line in lines]
    seen = [min(max(line.value, low), high) for line in lines]
    positions = spread(seen, [line_height * (name.count("\n") + 1.1) for name in names], low, high)
    for line, name, value, position in zip(lines, names, seen, positions, strict=True):
        inside = value == line.value
        if inside:
            axes.axhline(value, color=line.color, linestyle=line.dashes, linewidth=0.7, zorder=1)
        axes.annotate(
            name,
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(1.03, position),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=SMALL_FONT,
            color=line.color,
            annotation_clip=False,
            parse_math=False,
            arrowprops={**TIE, "color": line.color} if inside else None,
        )


def _line_name(line: Level, low: float, high: float, width: float) -> str:
    arrow = "↑ " if line.value > high else "↓ " if line.value < low else ""
    name = f"{arrow}{line.label} {decimal(line.value, 3)}"
    return "\n".join(textwrap.wrap(name, NARROW)) if width < DOUBLE_WIDTH / 2 + 1 else name


def _point_boxes(
    axes: Axes, points: Floats, intervals: list[tuple[float, float]]
) -> list[list[Bbox]]:
    """What labels must not cover: each marker and its interval, in pixels."""
    boxes = []
    half = axes.figure.dpi / 72 * 3
    for (x, y), (low, high) in zip(points, intervals, strict=True):
        ends = axes.transData.transform([[x, low], [x, high], [x, y]])
        left, right = ends[0, 0] - half, ends[0, 0] + half
        marker = Bbox.from_extents(left, ends[2, 1] - half, right, ends[2, 1] + half)
        bar = Bbox.from_extents(left + half / 2, ends[0, 1], right - half / 2, ends[1, 1])
        boxes.append([marker, bar])
    return boxes


def _line_box(axes: Axes, value: float) -> Bbox:
    frame = axes.get_window_extent()
    y = axes.transData.transform((1, value))[1]
    return Bbox.from_extents(frame.x0, y - 1, frame.x1, y + 1)
