"""The table of the simulated feedback loop, and every round behind it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from fusionlab.evaluation.significance import Values, compare, over_seeds
from fusionlab.reporting.feedback_loop import policy_name
from fusionlab.reporting.table import ABSENT, Cell, Column, Group, Table, decimal, probability
from fusionlab.serving.simulation import Course, Policy

Courses = Mapping[Policy, Sequence[Course]]
"""Of each policy a course a seed."""
HEADS = ("first", "last", "rise (95 %, p)", "rise by seed", "less profile update", "shown")


def feedback_table(courses: Courses) -> Table:
    """A row a policy: the first round, the last one, the rise, and the last beside profiles alone.

    Rises and differences are tested over users, each averaged over seeds, Holm within a column.
    """
    first = over_seeds([run.judged[0] for run in next(iter(courses.values()))])
    last = {
        policy_name(one): over_seeds([run.judged[-1] for run in runs])
        for one, runs in courses.items()
    }
    profile = policy_name(Policy("profile"))
    rises = _tested(first, last)
    others = _tested(last[profile], {name: one for name, one in last.items() if name != profile})
    rows = [
        [
            Cell(name),
            _mean(float(first.mean())),
            _mean(float(last[name].mean())),
            rises[name],
            _range([float(run.judged[-1].mean() - run.judged[0].mean()) for run in runs]),
            others.get(name, ABSENT),
            _mean(sum(float(run.shown.mean()) for run in runs) / len(runs)),
            Cell(f"{sum(float(run.clicks.sum()) for run in runs) / len(runs):.2f}"),
        ]
        for name, runs in zip(last, courses.values(), strict=True)
    ]
    heads = [Column(head) for head in (*HEADS, "clicks a user")]
    return Table("Feedback loop", [Column("policy", "text"), *heads], [Group("", rows)])


def rounds_csv(courses: Courses, first_seed: int = 0) -> str:
    """Every policy, seed (from ``first_seed`` on) and round."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["policy", "seed", "round", "judged", "shown", "clicks"])
    for policy, runs in courses.items():
        for seed, run in enumerate(runs, first_seed):
            rows = zip(run.judged.mean(1), run.shown.mean(1), run.clicks, strict=True)
            for number, row in enumerate(rows, 1):
                writer.writerow([policy_name(policy), seed, number, *map(float, row)])
    return text.getvalue()


def _tested(reference: Values, others: Mapping[str, Values]) -> dict[str, Cell]:
    """By label the difference from ``reference``, its interval, and p after Holm."""
    return {
        one.label: Cell(
            f"{one.difference:+.3f} ({one.interval[0]:+.3f} to {one.interval[1]:+.3f}), "
            f"{probability(one.p_holm)}",
            one.difference,
        )
        for one in compare(reference, others)
    }


def _mean(value: float) -> Cell:
    return Cell(decimal(value, 3), value)


def _range(values: Sequence[float]) -> Cell:
    return Cell(f"{min(values):+.3f} to {max(values):+.3f}")
