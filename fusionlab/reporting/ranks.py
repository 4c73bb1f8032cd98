"""Several studies side by side: mean ranks, Friedman's test, the critical-difference diagram."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from fusionlab.errors import FusionlabError
from fusionlab.reporting.comparison import ALPHA
from fusionlab.reporting.results import Results
from fusionlab.reporting.scores import recorded
from fusionlab.reporting.style import (
    BLACK,
    FONT,
    GREY,
    LINE_COLORS,
    SINGLE_WIDTH,
    SMALL_FONT,
    new_figure,
    styled,
)
from fusionlab.reporting.table import Cell, Column, Emphasis, Group, Table, decimal, probability
from fusionlab.statistics.ranks import Friedman, friedman
from fusionlab.studies.record import Row

LINE = 0.16
"""Inches of a line of the diagram."""


@dataclass(frozen=True)
class Ranking:
    """Rows that stand in every study, best first, with their means (k, N) and the test."""

    labels: list[str]
    means: list[list[float]]
    found: Friedman
    table: Table


def rank_studies(studies: Sequence[Results], *, metric: str | None = None) -> Ranking:
    """Compare the rows that all studies have (no ceilings) by their ranks, a study a data set.

    Means over seeds of ``metric``, by default of each study's main metric. Rows are known by their
    labels; those that not every study has are named in the notes.

    Raises:
        FusionlabError: fewer than two studies, two of one title, fewer than three rows in all of
            them, or a metric that a run does not have.
    """
    titles = [study.title for study in studies]
    for title, count in Counter(titles).items():
        if count > 1:
            raise FusionlabError(
                f"studies: found {title!r} {count} times, expected a title for each"
            )
    by_study = [
        {row.label: row for row in study.rows if row.kind != "ceiling"} for study in studies
    ]
    every = list(dict.fromkeys(label for rows in by_study for label in rows))
    labels = [label for label in every if all(label in rows for rows in by_study)]
    if len(studies) < 2 or len(labels) < 3:
        raise FusionlabError(
            f"studies: found {len(studies)} with {len(labels)} rows of the same labels, expected "
            "at least 2 studies (data sets) and 3 rows"
        )
    means = np.array(
        [
            [_mean(rows[label], study, metric) for label in labels]
            for rows, study in zip(by_study, studies, strict=True)
        ]
    )
    found = friedman(means, alpha=ALPHA)
    order = np.argsort(found.ranks, kind="stable")
    ordered = [labels[k] for k in order]
    lists: list[list[float]] = means.T[order].tolist()
    sources = {
        label: [record.id for rows in by_study for record in rows[label].records]
        for label in ordered
    }
    left_out = [label for label in every if label not in labels]
    table = Table(
        title="Ranks over studies",
        columns=_columns(studies, metric),
        groups=[Group("Best first", _lines(ordered, lists, found, order))],
        notes=_notes(found, ordered, left_out),
        sources=sources,
    )
    return Ranking(ordered, lists, found, table)


def _mean(row: Row, study: Results, metric: str | None) -> float:
    values = [recorded(row, one, study.split, metric or study.main) for one in row.records]
    return float(np.mean(values))


def _columns(studies: Sequence[Results], metric: str | None) -> list[Column]:
    places = [("metrics", study.split, metric or study.main) for study in studies]
    ranks = "mean over studies of the rank (1: best; ties share the mean of their ranks)"
    pairs = "p of Nemenyi's test against the row with the best mean rank"
    return [
        Column("row", "text", how="the label of the row in every study"),
        Column("mean rank", reads=tuple(dict.fromkeys(places)), how=ranks),
        Column("p to best", reads=tuple(dict.fromkeys(places)), how=pairs),
        *(
            Column(study.title, reads=(place,), how=f"mean over seeds of {place[-1]}")
            for study, place in zip(studies, places, strict=True)
        ),
    ]


def _lines(
    labels: Sequence[str], means: Sequence[Sequence[float]], found: Friedman, order: np.ndarray
) -> list[list[Cell]]:
    best = np.max(means, axis=0)
    return [
        [
            Cell(label),
            Cell(f"{found.ranks[at]:.2f}", float(found.ranks[at])),
            Cell(probability(float(found.pairs[order[0], at])), float(found.pairs[order[0], at]))
            if at != order[0]
            else Cell(""),
            *(
                Cell(decimal(one), one, Emphasis.BEST if one == most else Emphasis.NONE)
                for one, most in zip(values, best, strict=True)
            ),
        ]
        for label, values, at in zip(labels, means, order, strict=True)
    ]


def _notes(found: Friedman, labels: Sequence[str], left_out: Sequence[str]) -> list[str]:
    k = len(labels)
    notes = [
        f"Friedman's test over {found.datasets} studies and {k} rows: chi square "
        f"{found.statistic:.2f}, p {probability(found.p)} by permutation "
        f"({probability(found.p_chi2)} by the chi-square distribution).",
        f"Critical difference of mean ranks (Nemenyi, {decimal(found.alpha, 2)}): "
        f"{found.critical:.2f}. " + _told_apart(found, labels),
    ]
    if found.critical >= k - 1:
        notes.append(
            f"So few studies cannot tell any of {k} rows apart: mean ranks differ by {k - 1} at "
            "most."
        )
    if left_out:
        notes.append(f"Not in every study: {', '.join(left_out)}.")
    return notes


def _told_apart(found: Friedman, labels: Sequence[str]) -> str:
    if not found.cliques:
        return "All rows differ."
    groups = "; ".join(f"{labels[first]} to {labels[last]}" for first, last in found.cliques)
    return f"Not told apart: {groups}."


def critical_difference(ranking: Ranking, *, width: float = SINGLE_WIDTH) -> Figure:
    """Mean ranks on a line, the best at the left; bars join rows that are not told apart.

    The diagram of Demšar (2006). The bar above the axis is as long as the critical difference.
    """
    found, labels = ranking.found, ranking.labels
    k, ranks = len(labels), np.sort(found.ranks)
    half, bars = (k + 1) // 2, len(found.cliques)
    depth = 0.6 * bars + 0.8
    with styled():
        figure = new_figure(width, LINE * (depth + half + 4.0))
        axes = figure.add_subplot()
        axes.set_xlim(1 - 0.42 * (k - 1), k + 0.42 * (k - 1))
        axes.set_ylim(-(depth + half + 0.2), 3.4)
        axes.axis("off")
        axes.plot([1, k], [0, 0], color=BLACK, linewidth=0.8)
        for tick in range(1, k + 1, 1 + k // 12):
            axes.plot([tick, tick], [0, 0.3], color=BLACK, linewidth=0.6)
            axes.text(tick, 0.45, str(tick), ha="center", va="bottom", fontsize=SMALL_FONT)
        end = min(1 + found.critical, axes.get_xlim()[1])
        axes.plot([1, end], [2.2, 2.2], color=GREY, linewidth=1.6)
        axes.text(1, 2.5, f"CD = {found.critical:.2f}", fontsize=SMALL_FONT, color=GREY)
        for place, (label, rank) in enumerate(zip(labels, ranks, strict=True)):
            left = place < half
            y = -(depth + (place if left else k - 1 - place))
            x = 1 - 0.04 * k if left else k + 0.04 * k
            axes.plot([rank, rank, x], [0, y, y], color=BLACK, linewidth=0.6)
            gap = -0.02 * k if left else 0.02 * k
            side = "right" if left else "left"
            text = f"{label} {rank:.2f}" if left else f"{rank:.2f} {label}"
            axes.text(x + gap, y, text, ha=side, va="center", fontsize=SMALL_FONT, parse_math=False)
        for place, (first, last) in enumerate(found.cliques):
            y = -(0.5 + 0.6 * place)
            ends = [ranks[first] - 0.06, ranks[last] + 0.06]
            axes.plot(ends, [y, y], color=LINE_COLORS[0], linewidth=2.2)
        axes.set_title(
            f"Mean rank over {found.datasets} studies, Friedman p {probability(found.p)}",
            fontsize=FONT,
        )
    return figure
