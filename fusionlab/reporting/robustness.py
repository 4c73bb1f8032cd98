"""The figure of robustness: what each row is worth as more is missing, or noise grows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from fusionlab.errors import FusionlabError
from fusionlab.reporting.scores import Score, Scores, read_scores
from fusionlab.reporting.style import (
    BLACK,
    DOUBLE_WIDTH,
    FONT,
    GREY,
    HALF,
    LIGHT,
    SMALL_FONT,
    new_figure,
    styled,
)
from fusionlab.reporting.table import decimal
from fusionlab.studies.record import Row

Dashes = str | tuple[int, tuple[float, ...]]
Point = tuple[float, str]
PANELS = {
    "missing": (re.compile(r"at (\S+)% missing"), "Items that lack the modalities", "{:g} %"),
    "noise": (re.compile(r"at noise (\S+)"), "Noise (standard deviations)", "{:g}"),
}
"""How points of a curve are called, and the horizontal axis."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
"""Okabe and Ito (2008), with a brown for their yellow, which is too light for a line."""
MARKERS = {"feature": "o", "decision": "s", "model": "^"}
DASHES: tuple[Dashes, ...] = ("solid", (0, (4, 1.2)), (0, (1.2, 1)), (0, (4, 1, 1, 1)))
OTHERS = {"control": GREY, "ceiling": BLACK}


@dataclass(frozen=True)
class Look:
    """How a row's line is drawn."""

    color: str
    dashes: Dashes
    marker: str


def curves_in(rows: Sequence[Row], metric: str, split: str = "test") -> dict[str, list[Point]]:
    """By panel the rates that every run was judged at, each with the metric's name there.

    ``metric`` may be one of the curve itself, such as the area: the metric that it is of counts.
    """
    of = metric.split(" ")[0]
    named = [{*record.metrics.get(split, {})} for row in rows for record in row.records]
    found: dict[str, list[Point]] = {}
    for panel, (pattern, _, _) in PANELS.items():
        hits = {
            name: pattern.fullmatch(name.removeprefix(f"{of} "))
            for name in set[str].intersection(*named)
        }
        points = [(float(hit[1]), name) for name, hit in hits.items() if hit]
        if points:
            found[panel] = sorted(points)
    return found


def robustness(
    rows: Sequence[Row], metric: str, *, split: str = "test", width: float = DOUBLE_WIDTH
) -> Figure:
    """A curve a row over the rates it was judged at: a panel for what is missing, one for noise.

    Lines are means over users and seeds, bands their 95 % intervals over users. Rows are named in
    the order of the area under their curve in the first panel, which stands before the name.

    Raises:
        FusionlabError: no curve was measured in every run; see `read_scores`.
    """
    panels = curves_in(rows, metric, split)
    if not panels:
        raise FusionlabError(
            f"robustness: found no curve of {metric!r} on {split} in every run, expected runs with "
            "evaluation.curves"
        )
    of, first = metric.split(" ")[0], next(iter(panels))
    area = f"{of} {first} area"
    names = [name for points in panels.values() for _, name in points]
    scores = read_scores(rows, [area, *names], split)
    ordered = sorted(rows, key=lambda row: -scores[row.label][area].mean)
    looks = _looks(rows)
    alpha = max(0.03, min(0.15, 0.6 / len(rows)))  # many bands lie on one another
    with styled():
        if width > HALF:
            figure = new_figure(width, max(2.8, 0.75 + 0.145 * len(rows)))
            every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        else:
            figure = new_figure(width, 0.3 + 1.9 * len(panels) + 0.145 * len(rows))
            every = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (panel, points) in zip(every, panels.items(), strict=True):
            for row in reversed(ordered):
                _draw(axes, points, scores[row.label], looks[row.label], row.kind, alpha)
            _dress(axes, panel, [rate for rate, _ in points])
        for axes in every[:1] if width > HALF else every:
            axes.set_ylabel(f"{of} on {split}, 95 % bands", parse_math=False)
            axes.set_ylim(*_view(rows, scores, names))
        legend = figure.legend(
            handles=[_key(row, scores[row.label][area].mean, looks[row.label]) for row in ordered],
            loc="outside right upper" if width > HALF else "outside lower left",
            title=f"area, {first}",
            title_fontsize=SMALL_FONT,
            alignment="left",
            handlelength=2.6,
            labelspacing=0.35,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _looks(rows: Sequence[Row]) -> dict[str, Look]:
    """Strategies by colour, then by dashes; their level by marker. Controls are grey, ceilings
    black, told apart by dashes."""
    looks = {}
    for kind in ("strategy", "control", "ceiling"):
        for place, row in enumerate(row for row in rows if row.kind == kind):
            color = OTHERS.get(kind) or COLORS[place % len(COLORS)]
            turn = place if kind in OTHERS else place // len(COLORS)
            marker = MARKERS.get(row.level, "") if kind not in OTHERS else ""
            looks[row.label] = Look(color, DASHES[turn % len(DASHES)], marker)
    return looks


def _draw(
    axes: Axes,
    points: Sequence[Point],
    scores: Mapping[str, Score],
    look: Look,
    kind: str,
    alpha: float,
) -> None:
    rates = [rate for rate, _ in points]
    found = [scores[name] for _, name in points]
    bounds = [score.ends for score in found]
    low, high = zip(*bounds, strict=True)
    front = kind == "strategy"
    if front:
        axes.fill_between(rates, low, high, color=look.color, alpha=alpha, linewidth=0, zorder=1)
    axes.plot(
        rates,
        [score.mean for score in found],
        color=look.color,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=2.8,
        linewidth=1.0 if front else 0.8,
        zorder=3 if front else 2,
    )


def _dress(axes: Axes, panel: str, rates: Sequence[float]) -> None:
    _, label, tick = PANELS[panel]
    axes.set_xlabel(label, fontsize=FONT)
    axes.set_xticks(rates, [tick.format(rate) for rate in rates])
    axes.margins(x=0.03)
    axes.grid(axis="y", color=LIGHT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: decimal(value, 3)))


def _view(rows: Sequence[Row], scores: Scores, names: Sequence[str]) -> tuple[float, float]:
    """From the lowest to the highest of all but the ceilings, which may lie far above."""
    seen = [row for row in rows if row.kind != "ceiling"] or rows
    bounds = [end for row in seen for name in names for end in scores[row.label][name].ends]
    margin = 0.04 * (max(bounds) - min(bounds) or 1.0)
    return min(bounds) - margin, max(bounds) + margin


def _key(row: Row, area: float, look: Look) -> Line2D:
    key = Line2D([], [], color=look.color, marker=look.marker, markersize=2.8, linewidth=1.0)
    key.set(linestyle=look.dashes, label=f"{decimal(area, 3)}  {row.label}")
    return key
