"""Which strategies beat the strongest control, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.significance import Comparison, compare
from fusionlab.reporting.scores import LEVEL, Floats, Scores, recorded
from fusionlab.statistics.effects import Effect, paired_effect
from fusionlab.studies.record import Row

ALPHA = 0.05


def reference_row(rows: Sequence[Row], metric: str, named: str | None) -> Row | None:
    """The row that strategies are tested against.

    It is the one ``named``, else the control with the highest mean over seeds on *validation*: the
    control that is highest on test was chosen by test and is no fair opponent. None where there is
    no control.
    """
    if named is not None:
        candidates = {row.label: row for row in rows if row.kind != "ceiling"}
        if named not in candidates:
            raise FusionlabError(f"reference: {one_of(named, candidates)}")
        return candidates[named]
    controls = [row for row in rows if row.kind == "control"]
    return max(controls, key=lambda row: validation_mean(row, metric), default=None)


def validation_mean(row: Row, metric: str) -> float:
    """The mean over seeds of a metric on validation."""
    return float(np.mean([recorded(row, record, "valid", metric) for record in row.records]))


def against(
    reference: Row | None, rows: Sequence[Row], scores: Scores, metric: str
) -> dict[str, Comparison]:
    """Test every strategy, by label, against the reference (which is not tested against itself)."""
    tested = [row.label for row in rows if row.kind == "strategy" and row is not reference]
    if reference is None or not tested:
        return {}
    base = _users(scores, reference.label, metric)
    others = {label: _users(scores, label, metric) for label in tested}
    return {found.label: found for found in compare(base, others, level=LEVEL)}


def effects(
    reference: Row, labels: Sequence[str], scores: Scores, metric: str
) -> dict[str, Effect]:
    """How large the difference of each of these rows from the reference is."""
    base = _users(scores, reference.label, metric)
    return {
        label: paired_effect(_users(scores, label, metric), base, level=LEVEL) for label in labels
    }


@dataclass(frozen=True)
class Leaders:
    """The best strategy and those that no test tells from it, best first.

    ``margin`` is how far below the best the confidence intervals of their differences reach: so
    much may have been missed.
    """

    labels: list[str]
    margin: float


def leaders(rows: Sequence[Row], scores: Scores, metric: str) -> Leaders:
    """The strategy with the highest mean and those not significantly below it."""
    means = {row.label: scores[row.label][metric].mean for row in rows if row.kind == "strategy"}
    order = sorted(means, key=lambda label: -means[label])
    if not order:
        return Leaders([], 0.0)
    best = next(row for row in rows if row.label == order[0])
    verdicts = against(best, rows, scores, metric)
    labels = [label for label in order if label not in verdicts or symbol(verdicts[label]) != "-"]
    reach = [verdicts[label].interval[0] for label in labels if label in verdicts]
    return Leaders(labels, -min([0.0, *reach]))


def symbol(found: Comparison) -> str:
    """``+`` significantly above the reference, ``-`` significantly below, ``=`` neither."""
    if found.p_holm > ALPHA:
        return "="
    return "+" if found.difference > 0 else "-"


def _users(scores: Scores, label: str, metric: str) -> Floats:
    users = scores[label][metric].users
    if users is None:
        raise FusionlabError(
            f"row {label!r}: {metric}: found no score a user, expected one: the test is over users"
        )
    return users
