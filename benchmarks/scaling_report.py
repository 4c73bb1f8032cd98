"""What `scaling.py` found, as tables and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from fusionlab.benchmarking.growth import Growth
from fusionlab.reporting.style import DOUBLE_WIDTH, GREY, MARKS, OTHER_MARKS, new_figure, styled

Points = Sequence[Mapping[str, Any]]
Fits = Mapping[str, Mapping[str, Growth]]
Judged = Mapping[str, Sequence[str]]
UNITS = {"memory": "MB"}


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
            verdict = "yes" if abs(law.exponent - 1) <= tolerance else "NO"
            table.add_row(
                sizes,
                name,
                f"{first:.4g} {unit}",
                f"{last:.4g} {unit}",
                f"{law.constant:.3g} {unit}",
                f"{law.exponent:.2f} ± {law.error:.2f}",
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
    with styled():
        figure = new_figure(DOUBLE_WIDTH, 0.4 + 2.1 * -(-len(fits) // columns))
        for place, (axis, laws) in enumerate(fits.items(), 1):
            axes = figure.add_subplot(-(-len(fits) // columns), columns, place)
            along = [found for found in points if found["axis"] == axis]
            sizes = np.array([found["size"] for found in along], dtype=float)
            axes.loglog(sizes, sizes / sizes[0], color=GREY, linestyle="dotted")
            between = np.geomspace(sizes[0], sizes[-1], 60)
            for name, law in laws.items():
                first = along[0]["figures"][name]
                values = [found["figures"][name] / first for found in along]
                face = marks[name].color if name in judged[axis] else "none"
                look = {"color": marks[name].color, "marker": marks[name].marker}
                axes.loglog(sizes, values, linestyle="none", markerfacecolor=face, **look)
                fitted = [law.at(size) / first for size in between]
                axes.loglog(between, fitted, color=marks[name].color)
            axes.set_xlabel(axis)
            axes.set_ylabel("times the first point")
        handles = [
            Line2D([], [], color=mark.color, marker=mark.marker, label=name)
            for name, mark in marks.items()
        ]
        handles.append(Line2D([], [], color=GREY, linestyle="dotted", label="linear"))
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure
