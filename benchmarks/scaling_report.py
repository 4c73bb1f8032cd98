"""What `scaling.py` found, as tables and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.table import Table

from fusionlab.benchmarking.growth import Growth
from fusionlab.reporting.style import (
    DOUBLE_WIDTH,
    GREY,
    MARKS,
    OTHER_MARKS,
    Mark,
    new_figure,
    styled,
)

Points = Sequence[Mapping[str, Any]]
Fits = Mapping[str, Mapping[str, Growth]]
Judged = Mapping[str, Sequence[str]]
UNITS = {"memory": "MB"}
VAGUE = 0.5
"""A standard error from which on an exponent says nothing, as of a cost that does not grow."""


def exponents(points: Points, fits: Fits, judged: Judged, tolerance: float) -> Table:
    """A row an axis and quantity; whether it is linear is said of what must grow with the axis."""
    table = Table(title="y = a + b size^p")
    table.add_column("size")
    table.add_column("cost")
    for name in ("first", "last", "a", "p", "last slope", "linear"):
        table.add_column(name, justify="right")
    for axis, laws in fits.items():
        along = [found for found in points if found["axis"] == axis]
        sizes = f"{axis}, {along[0]['size']:,} to {along[-1]['size']:,}"
        for name, law in laws.items():
            first, last = (found["figures"][name] for found in (along[0], along[-1]))
            unit = UNITS.get(name, "s")
            known = law.error < VAGUE
            verdict = "yes" if known and abs(law.exponent - 1) <= tolerance else "NO"
            table.add_row(
                sizes,
                name,
                f"{first:.4g} {unit}",
                f"{last:.4g} {unit}",
                f"{law.constant:.3g} {unit}",
                f"{law.exponent:.2f} ± {law.error:.2f}" if known else "undetermined",
                f"{law.slope:.2f}",
                verdict if name in judged[axis] else "",
                end_section=name == list(laws)[-1],
            )
            sizes = ""
    return table


def stages(found: Mapping[str, Any], limit_mb: float) -> Table:
    """A row a stage: seconds and peak memory above the imports."""
    setting, memory = found["setting"], found["figures"]["memory"]
    sizes = ", ".join(f"{setting[name]:,} {name}" for name in ("users", "items", "clicks"))
    table = Table(title=sizes, caption=f"{memory:,.0f} MB of {limit_mb:,.0f} MB")
    table.add_column("stage")
    for name in ("s", "peak MB"):
        table.add_column(name, justify="right")
    for name, seconds in found["seconds"].items():
        table.add_row(name, f"{seconds:,.2f}", f"{found['memory_mb'][name]:,.0f}")
    return table


def panels(points: Points, fits: Fits, judged: Judged) -> Figure:
    """A panel an axis on log-log axes: measurements, fits, and a dotted line of slope one.

    Everything is divided by its first point, so that one scale holds seconds and megabytes; filled
    marks are what must grow with the axis.
    """
    names = list(next(iter(fits.values())))
    marks = dict(zip(names, [*MARKS.values(), *OTHER_MARKS], strict=False))
    columns = min(3, len(fits))
    rows = -(-len(fits) // columns)
    with styled():
        figure = new_figure(DOUBLE_WIDTH, 0.4 + 2.1 * rows)
        for place, (axis, laws) in enumerate(fits.items(), 1):
            axes = figure.add_subplot(rows, columns, place)
            along = [found for found in points if found["axis"] == axis]
            _draw(axes, along, laws, marks, judged[axis])
            axes.set_xlabel(axis)
            if place % columns == 1 or columns == 1:
                axes.set_ylabel("times the first point")
        handles = [
            Line2D([], [], color=mark.color, marker=mark.marker, label=name)
            for name, mark in marks.items()
        ]
        handles.append(Line2D([], [], color=GREY, linestyle="dotted", label="linear"))
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _draw(
    axes: Axes,
    along: Points,
    laws: Mapping[str, Growth],
    marks: Mapping[str, Mark],
    judged: Sequence[str],
) -> None:
    """One panel: points, fitted curves, and sizes as ticks."""
    sizes = np.array([found["size"] for found in along], dtype=float)
    between = np.geomspace(sizes[0], sizes[-1], 60)
    axes.loglog(sizes, sizes / sizes[0], color=GREY, linestyle="dotted")
    for name, law in laws.items():
        first = along[0]["figures"][name]
        values = [found["figures"][name] / first for found in along]
        look = {"color": marks[name].color, "marker": marks[name].marker}
        face = marks[name].color if name in judged else "none"
        axes.loglog(sizes, values, linestyle="none", markerfacecolor=face, **look)
        fitted = [law.at(size) / first for size in between]
        axes.loglog(between, fitted, color=marks[name].color)
    axes.set_xticks(sizes[::2], [f"{size:,.0f}" for size in sizes[::2]])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for direction in (axes.xaxis, axes.yaxis):
        direction.set_minor_formatter(NullFormatter())
