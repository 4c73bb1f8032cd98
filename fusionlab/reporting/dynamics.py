"""Figures of how training went, modality by modality: what each learned, what a balancer did."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fusionlab.reporting.courses import (
    JOINT,
    Course,
    Courses,
    coalition_training,
    courses,
    did,
    modalities_of,
)
from fusionlab.reporting.style import (
    BLACK,
    DOUBLE_WIDTH,
    GREY,
    HALF,
    LIGHT,
    SMALL_FONT,
    Line,
    lines_of,
    new_figure,
    styled,
)
from fusionlab.studies.record import UNTRAINED, Row

ACROSS, PER_PAGE = 4, 12
"""Panels side by side, and on a page, of two columns' width; in one column half as many."""
TITLE = 22
"""Characters in a line of a panel's title."""
UNITS = {"loss": "loss alone", "speed": "fall an epoch, %"}
SCALES = {"speed": 100.0}
NEVER = (
    'Where coalitions are "none" the model never saw a subset of its modalities: what it says of '
    "one alone may mislead."
)


@dataclass(frozen=True)
class Panel:
    """One row's courses of a few kinds, one below the other."""

    row: Row
    title: str
    kinds: Sequence[str]
    courses: Courses


def learning_speed(rows: Sequence[Row], *, width: float = DOUBLE_WIDTH) -> list[Figure]:
    """Of every row that has them: each modality's own loss by epoch, and below it how fast it fell.

    A panel a row, a line a modality: the mean over seeds with a band of one standard deviation, as
    far as every seed went. Rows of a page share scales, `PER_PAGE` at most. Each panel says on
    what coalitions its model was trained. No page where no run tells of two modalities.
    """
    panels = []
    for row, title in zip(rows, _titles(rows), strict=True):
        found = {kind: x for kind, x in courses(row).items() if kind in UNITS}
        if len(found.get("loss", {}).keys() - {JOINT}) > 1:
            panels.append(Panel(row, title, tuple(UNITS), found))
    return _pages(panels, modalities_of(rows), width, shared=True)


def weights_over_time(rows: Sequence[Row], *, width: float = DOUBLE_WIDTH) -> list[Figure]:
    """What the balancer of every row did by epoch (its weights, scales, chances of being dropped).

    As `learning_speed`, but each panel has its own scale: methods do different things.
    """
    panels = [
        Panel(row, title, (kind,), {kind: found})
        for row, title in zip(rows, _titles(rows), strict=True)
        for kind, found in did(row).items()
    ]
    return _pages(panels, modalities_of(rows), width, shared=False)


def _titles(rows: Sequence[Row]) -> list[str]:
    """The rows' labels in lines that fit a panel, without the ``balancer=`` that all share."""
    keys = {row.label.partition("=")[0] for row in rows if row.kind == "strategy"}
    prefix = f"{keys.pop()}=" if len(keys) == 1 else ""
    return [_in_lines(row.label.removeprefix(prefix)) for row in rows]


def _in_lines(label: str) -> str:
    """Broken after spaces and underscores."""
    lines = [""]
    for word in re.split(r"(?<=[_ ])", label):
        lines += [""] if lines[-1] and len(lines[-1] + word.rstrip()) > TITLE else []
        lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)


def _pages(
    panels: Sequence[Panel], modalities: Sequence[str], width: float, *, shared: bool
) -> list[Figure]:
    across, per_page = (ACROSS, PER_PAGE) if width > HALF else (ACROSS // 2, PER_PAGE // 2)
    count = -(-len(panels) // per_page)
    parts = np.array_split(np.arange(len(panels)), count) if count else []
    lines = lines_of(modalities) | {JOINT: Line(BLACK, "solid")}
    return [_page([panels[k] for k in part], lines, width, shared, across) for part in parts]


def _page(
    panels: Sequence[Panel], lines: Mapping[str, Line], width: float, shared: bool, most: int
) -> Figure:
    across = min(most, len(panels))
    down = -(-len(panels) // across)
    kinds = len(panels[0].kinds)
    with styled():
        figure = new_figure(width, 0.55 + down * (0.75 + 0.85 * kinds))
        outer = figure.add_gridspec(down, across)
        grid = [
            _draw(figure, outer[divmod(place, across)], panel, lines, place % across == 0)
            for place, panel in enumerate(panels)
        ]
        if shared:
            _share(grid)
        shown = {name for panel in panels for found in panel.courses.values() for name in found}
        figure.legend(
            handles=[_handle(name, line) for name, line in lines.items() if name in shown],
            loc="outside upper left",
            ncols=int(width),
        )
        seeds = max(len(panel.row.records) for panel in panels)
        figure.supxlabel(_foot(panels, seeds, width), fontsize=SMALL_FONT, color=GREY)
    return figure


def _draw(
    figure: Figure, where: SubplotSpec, panel: Panel, lines: Mapping[str, Line], first: bool
) -> list[Axes]:
    """One panel: its kinds one below the other over the same epochs."""
    inner = where.subgridspec(len(panel.kinds), 1, hspace=0.05)
    drawn: list[Axes] = []
    for place, kind in enumerate(panel.kinds):
        axes = figure.add_subplot(inner[place], sharex=drawn[0] if drawn else None)
        for name, course in panel.courses.get(kind, {}).items():
            _draw_course(axes, course, lines[name], SCALES.get(kind, 1.0))
        axes.grid(axis="y", color=LIGHT, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if first or kind not in UNITS:
            axes.set_ylabel(UNITS.get(kind, kind.replace("_", " ")), parse_math=False)
        drawn.append(axes)
    for axes in drawn[:-1]:
        axes.tick_params(labelbottom=False)
    for axes in () if first or panel.kinds[0] not in UNITS else drawn:
        axes.tick_params(labelleft=False)  # of scales that are shared
    trained = "\n".join(textwrap.wrap(f"coalitions: {coalition_training(panel.row)}", 30))
    above = 4 + 9 * (trained.count("\n") + 1)
    drawn[0].set_title(panel.title, loc="left", pad=above, fontsize=SMALL_FONT, parse_math=False)
    drawn[0].annotate(
        trained,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=SMALL_FONT - 1,
        color=GREY,
        parse_math=False,
    )
    return drawn


def _draw_course(axes: Axes, course: Course, line: Line, scale: float) -> None:
    mean, spread = scale * course.mean, scale * course.spread
    axes.fill_between(
        course.epochs, mean - spread, mean + spread, color=line.color, alpha=0.2, linewidth=0
    )
    alone = "o" if len(course.epochs) == 1 else None
    axes.plot(
        course.epochs, mean, color=line.color, linestyle=line.dashes, marker=alone, markersize=2.5
    )


def _share(grid: Sequence[Sequence[Axes]]) -> None:
    """The same scale for the same kind."""
    for same in zip(*grid, strict=True):
        limits = np.array([axes.get_ylim() for axes in same])
        for axes in same:
            axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def _handle(name: str, line: Line) -> Line2D:
    return Line2D([], [], color=line.color, linestyle=line.dashes, label=name)


def _foot(panels: Sequence[Panel], seeds: int, width: float) -> str:
    said = ["Epochs."]
    if seeds > 1:
        said.append("Mean over seeds and one standard deviation, as far as every seed went.")
    if any(coalition_training(panel.row) == UNTRAINED for panel in panels):
        said.append(NEVER)
    return "\n".join(textwrap.wrap(" ".join(said), int(17 * width)))
