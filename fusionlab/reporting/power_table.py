"""The table of power: how many users or seeds would tell a stated difference from chance."""

from __future__ import annotations

from math import inf

import numpy as np

from fusionlab.errors import FusionlabError, one_of
from fusionlab.reporting.comparison import ALPHA, reference_row
from fusionlab.reporting.results import Results
from fusionlab.reporting.scores import Floats, Score, read_scores
from fusionlab.reporting.table import Cell, Column, Group, Table, decimal, grouped
from fusionlab.statistics.power import components, detectable, needed
from fusionlab.studies.record import Row

UNKNOWN = Cell("unknown")
"""From one seed nobody knows how much seeds differ."""


def power_table(
    results: Results, difference: float, *, metric: str | None = None, power: float = 0.8
) -> Table:
    """Of every strategy against the reference of the study's tests: users and seeds needed.

    ``users``: as many users, each averaged over the seeds at hand, as a two-sided t test needs to
    find ``difference`` with ``power``. ``seeds``: as many trainings, judged on the users at hand,
    so that a t test over them finds it: what it takes to speak of the method and not of these
    trained models. Both at alpha over the number of strategies, as Holm's first step asks.

    Raises:
        FusionlabError: no strategy beside the reference, a metric without scores of single users,
            or a difference or power out of range.
    """
    metric, rows = metric or results.main, results.rows
    scores = read_scores(rows, [metric], results.split)
    opponent = reference_row(rows, metric, results.reference)
    tested = [row for row in rows if row.kind == "strategy" and row is not opponent]
    if opponent is None or not tested:
        raise FusionlabError(
            "power: found no control to test against or no strategy to test, expected both "
            "(report.reference names a row)"
        )
    alpha = ALPHA / len(tested)
    base = scores[opponent.label][metric]

    def cells(row: Row) -> list[Cell]:
        differences = _differences(row, scores[row.label][metric], opponent, base, metric)
        found, (at_hand, of) = components(differences), differences.shape
        sd = float(differences.mean(0).std(ddof=1))
        users = needed(difference, sd, alpha=alpha, power=power)
        least = detectable(sd, of, alpha=alpha, power=power)
        turn = float(differences.mean(1).std(ddof=1)) if at_hand > 1 else None
        seeds = None if turn is None else needed(difference, turn, alpha=alpha, power=power)
        return [
            Cell(row.label),
            _figure(float(differences.mean())),
            _figure(least),
            _count(users),
            _count(seeds),
            _figure(sd),
            UNKNOWN if turn is None else _figure(turn),
            *(_figure(value) for value in (found.user, found.seed, found.rest)),
        ]

    reads, beside = (("per_user", results.split, metric),), (opponent.label,)
    named = [
        ("difference", True, "mean over users and seeds of row - reference"),
        ("detectable", True, "least difference that the users at hand find"),
        ("users", True, "users needed"),
        ("seeds", True, "seeds needed"),
        ("sd users", True, "of a user's difference, averaged over the seeds at hand"),
        ("sd seeds", True, "of a seed's difference, averaged over the users at hand"),
        ("user component", False, "standard deviation that belongs to the user"),
        ("seed component", False, "standard deviation that belongs to the seed"),
        ("rest component", False, "standard deviation of what is left"),
    ]
    users = len(base.users) if base.users is not None else 0
    counts = sorted({len(row.records) for row in tested})
    hand = f"{users} users and {' or '.join(map(str, counts))} seeds"
    return Table(
        title=f"{results.title}: power",
        columns=[
            Column("row", "text", how="the label of the row in its study"),
            *(
                Column(name, shown=shown, reads=reads, how=how, beside=beside)
                for name, shown, how in named
            ),
        ],
        groups=[Group(name, [cells(row) for row in of]) for name, of in grouped(tested).items()],
        notes=[
            f"What it takes to find a difference of {decimal(difference)} in {metric} on "
            f"{results.split} from {opponent.label} with {power:.0%} power, two-sided at "
            f"{decimal(ALPHA, 2)} / {len(tested)} (Holm's first step). At hand: {hand}.",
            "users: of whom each is averaged over the seeds at hand. seeds: trainings judged on "
            "the users at hand, for a t test over seeds, so that the difference holds for other "
            "trainings too. detectable: what the users at hand find.",
        ],
        sources={row.label: [record.id for record in row.records] for row in (opponent, *tested)},
    )


def _differences(row: Row, score: Score, opponent: Row, base: Score, metric: str) -> Floats:
    """(S, U) row - reference, seed by seed where both have the seed, else from its mean."""
    if score.by_seed is None or base.by_seed is None or base.users is None:
        raise FusionlabError(f"metric: {one_of(metric, _of_users(row))}; it needs scores of users")
    seeds = {record.config.get("seed"): k for k, record in enumerate(opponent.records)}
    own = [record.config.get("seed") for record in row.records]
    shared = [(k, seeds[seed]) for k, seed in enumerate(own) if seed in seeds]
    if not shared:
        return np.asarray(score.by_seed - base.users)
    here, there = (list(places) for places in zip(*shared, strict=True))
    return np.asarray(score.by_seed[here] - base.by_seed[there])


def _of_users(row: Row) -> list[str]:
    columns = row.records[0].per_user().columns
    return [name for name in columns if name not in ("user", "split")]


def _figure(value: float) -> Cell:
    return Cell("no number" if value == inf else decimal(value), value)


def _count(value: float | None) -> Cell:
    if value is None:
        return UNKNOWN
    return Cell(f"{value:,}" if value < inf else "no number", value)
