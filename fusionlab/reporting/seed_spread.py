"""The figure of the spread over seeds: does another seed turn the order?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fusionlab.reporting.scores import LEVEL, Score, read_scores
from fusionlab.reporting.style import (
    BLACK,
    DOUBLE_WIDTH,
    FONT,
    GREY,
    LIGHT,
    Mark,
    marks_of,
    new_figure,
    styled,
)
from fusionlab.reporting.table import grouped
from fusionlab.studies.record import Row


def seed_spread(
    rows: Sequence[Row], metric: str, *, split: str = "test", width: float = DOUBLE_WIDTH
) -> Figure:
    """Every seed's score of every row, beside the mean and its 95 % interval over users.

    A dot is the mean over users of one seed; the filled mark with its bar is the mean over seeds.
    Where the dots scatter more widely than the bar, another seed may turn the order.
    """
    scores = read_scores(rows, [metric], split)
    groups = grouped(rows)
    ordered = [row for members in groups.values() for row in members]
    with styled():
        figure = new_figure(width, 0.7 + 0.21 * len(ordered))
        axes = figure.add_subplot()
        marks = marks_of(rows)
        others = {"control": Mark(GREY, "o"), "ceiling": Mark(BLACK, "o")}
        for y, row in enumerate(ordered):
            mark = others.get(row.kind) or marks[row.level]
            _draw_seeds(axes, y, scores[row.label][metric], mark)
        ends = np.cumsum([len(members) for members in groups.values()])[:-1]
        for end in ends:
            axes.axhline(end - 0.5, color=LIGHT, linewidth=0.6, zorder=0)
        axes.set_yticks(range(len(ordered)), [row.label for row in ordered], parse_math=False)
        axes.set_ylim(len(ordered) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=LIGHT, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{metric} on {split}", fontsize=FONT, parse_math=False)
        figure.legend(handles=_seed_legend(), loc="outside upper right", ncols=2)
    return figure


def _draw_seeds(axes: Axes, y: float, score: Score, mark: Mark) -> None:
    axes.plot(
        score.seeds,
        [y + 0.22] * len(score.seeds),
        marker="o",
        markersize=2.6,
        markerfacecolor="none",
        markeredgewidth=0.6,
        color=mark.color,
        linestyle="none",
    )
    axes.plot(score.ends, [y - 0.14] * 2, color=mark.color, linewidth=1.0)
    axes.plot([score.mean], [y - 0.14], marker=mark.marker, markersize=3.6, color=mark.color)


def _seed_legend() -> list[Line2D]:
    mean = Line2D([], [], marker="o", markersize=3.6, color=GREY)
    mean.set_label(f"mean, {LEVEL:.0%} interval over users")
    seed = Line2D([], [], marker="o", markersize=2.6, color=GREY, linestyle="none")
    seed.set(markerfacecolor="none", markeredgewidth=0.6, label="one seed")
    return [mean, seed]
