"""The common look of all figures, and how they are saved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusionlab.data.disk import write_whole
from fusionlab.studies.record import Row

SINGLE_WIDTH = 3.35
DOUBLE_WIDTH = 6.9
HALF = 5.0
"""A figure that is narrower is laid out for one column."""
DPI = 300
FONT = 8
SMALL_FONT = 7

BLACK, GREY, LIGHT = "#000000", "#666666", "#dddddd"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": FONT,
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": SMALL_FONT,
    "ytick.labelsize": SMALL_FONT,
    "legend.fontsize": SMALL_FONT,
    "legend.frameon": False,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "savefig.dpi": DPI,
    "figure.dpi": DPI,
}


@dataclass(frozen=True)
class Mark:
    """How the rows of one level are drawn."""

    color: str
    marker: str


# Okabe and Ito (2008): told apart with any colour vision, and by the marker in print.
MARKS = {
    "feature": Mark("#0072B2", "o"),
    "decision": Mark("#D55E00", "s"),
    "model": Mark("#009E73", "^"),
}
OTHER_MARKS = (
    Mark("#CC79A7", "D"),
    Mark("#E69F00", "v"),
    Mark("#56B4E9", "P"),
    Mark("#000000", "X"),
)


Dashes = Literal["solid", "dashed", "dashdot", "dotted"]


@dataclass(frozen=True)
class Line:
    """How the course of one modality is drawn."""

    color: str
    dashes: Dashes


# The same colours in an order of their own; dashes tell them apart in print.
LINE_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHES: tuple[Dashes, ...] = ("solid", "dashed", "dashdot", "dotted")


def lines_of(modalities: Sequence[str]) -> dict[str, Line]:
    """A line for each modality, the same in every figure of a report."""
    return {
        name: Line(LINE_COLORS[place % len(LINE_COLORS)], DASHES[place % len(DASHES)])
        for place, name in enumerate(modalities)
    }


def marks_of(rows: Sequence[Row]) -> dict[str, Mark]:
    """A mark for each level of the strategies; the three levels of fusion always look the same."""
    levels = list(dict.fromkeys(row.level for row in rows if row.kind == "strategy"))
    others = [level for level in levels if level not in MARKS]
    return {
        level: MARKS[level]
        if level in MARKS
        else OTHER_MARKS[others.index(level) % len(OTHER_MARKS)]
        for level in levels
    }


def styled() -> AbstractContextManager[None]:
    """The style, for as long as the context lasts, whatever the user's own settings are."""
    return matplotlib.style.context(["default", STYLE])


def new_figure(width: float, height: float) -> Figure:
    """A figure of width x height inches that no window and no global state knows of."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.pdf and ``stem``.png (300 dpi); without dates, so a re-run gives the same."""
    metadata: dict[str, dict[str, None]] = {
        "pdf": {"CreationDate": None},
        "png": {"Software": None},
    }
    paths = []
    for kind, entries in metadata.items():
        content = io.BytesIO()
        # Ticks are made, and fonts embedded, while the figure is drawn.
        with styled():
            figure.savefig(content, format=kind, metadata=entries)
        paths.append(write_whole(stem.parent / f"{stem.name}.{kind}", content.getvalue()))
    return paths
