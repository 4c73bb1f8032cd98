"""A figure of probes: which atoms of a known answer the features of each modality hold."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.atom_probes import Probe
from fusionlab.reporting.style import BLACK, GREY, LIGHT, SINGLE_WIDTH, new_figure, styled

FOUND = "#0072B2"


def probes_figure(probes: Sequence[Probe], *, width: float = SINGLE_WIDTH) -> Figure:
    """A dot for each probe's accuracy, on a line from guessing to the Bayes value."""
    if not probes:
        raise FusionlabError("figure of probes: found no probe, expected at least one")
    rows = range(len(probes))
    with styled():
        figure = new_figure(width, 0.9 + 0.19 * len(probes))
        axes = figure.add_subplot()
        chance, bayes = [one.chance for one in probes], [one.bayes for one in probes]
        axes.hlines(rows, chance, bayes, color=LIGHT, linewidth=3, zorder=1)
        for label, at, marker, color in (
            ("guessing", chance, "|", GREY),
            ("Bayes value", bayes, "|", BLACK),
            ("linear probe", [one.accuracy for one in probes], "o", FOUND),
        ):
            axes.plot(at, rows, marker, color=color, label=label, markersize=5)
        names = [f"{one.modality}: {one.atom}" for one in probes]
        axes.set_yticks(rows, names, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlabel("accuracy on validation items (share)")
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.0)
    return figure
