"""The table and the figure of a trial of reranking: each row beside the list as it was."""

from __future__ import annotations

from matplotlib.figure import Figure

from fusionlab.evaluation.significance import Comparison, compare, mean_interval
from fusionlab.reporting.style import (
    BLACK,
    GREY,
    LINE_COLORS,
    SINGLE_WIDTH,
    new_figure,
    styled,
)
from fusionlab.reporting.table import ABSENT, Cell, Column, Group, Table, decimal, probability
from fusionlab.serving.rerank_trial import METRICS, Trial


def reranking_table(trial: Trial, name: str) -> Table:
    """A row an order: the metric, and what it is above the order of recommender ``name``.

    Intervals are 95 % over users; p is of the paired permutation test, Holm within a metric.
    """
    tests = {metric: _tested(metric, trial) for metric in METRICS}
    first = [Cell(name)]
    for metric in METRICS:
        low, high = mean_interval(trial.before[metric])
        mean = float(trial.before[metric].mean())
        first += [Cell(f"{decimal(mean)} ({decimal(low)} to {decimal(high)})", mean), ABSENT]
    rows = [first]
    for place, (label, values) in enumerate(trial.after.items()):
        row = [Cell(label)]
        for metric in METRICS:
            one, mean = tests[metric][place], float(values[metric].mean())
            low, high = one.interval
            told = f"{decimal(mean)} ({one.difference:+.4f}: {low:+.4f} to {high:+.4f})"
            row += [Cell(told, mean), Cell(probability(one.p_holm), one.p_holm)]
        rows.append(row)
    heads = [head for metric in METRICS for head in (metric, f"p, {metric}")]
    columns = [Column("order", "text"), *map(Column, heads)]
    return Table("Reranking", columns, [Group("", rows)], [_verdict(trial)])


def reranking_figure(trial: Trial) -> Figure:
    """What each order is above the recommender's own: the mean over users and its 95 % interval."""
    with styled():
        figure = new_figure(SINGLE_WIDTH, 0.9 + 0.2 * len(trial.after))
        axes = figure.add_subplot()
        for y, one in enumerate(_tested(METRICS[0], trial)):
            axes.plot(one.interval, [y, y], color=LINE_COLORS[0], linewidth=0.9)
            axes.plot(one.difference, y, marker="o", color=BLACK, markersize=3)
        axes.axvline(0, color=GREY, linewidth=0.6, linestyle="dashed")
        axes.set_yticks(range(len(trial.after)), list(trial.after), parse_math=False)
        axes.set_ylim(len(trial.after) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        label = f"{METRICS[0]} above the recommender's\n(test, 95 % intervals)"
        axes.set_xlabel(label, parse_math=False)
    return figure


def _tested(metric: str, trial: Trial) -> list[Comparison]:
    return compare(
        trial.before[metric], {label: values[metric] for label, values in trial.after.items()}
    )


def _verdict(trial: Trial) -> str:
    metric = METRICS[0]
    sure = [one for one in _tested(metric, trial) if one.p_holm < 0.05]
    better = ", ".join(one.label for one in sure if one.difference > 0)
    worse = ", ".join(one.label for one in sure if one.difference < 0)
    return (
        f"{len(trial.before[metric])} test users, by {metric}. Reranking helps in: "
        f"{better or 'no row'}; it harms in: {worse or 'no row'}. Seconds a user: "
        f"{', '.join(f'{kind} {taken:.2f}' for kind, taken in trial.seconds.items())}."
    )
