"""What stands in the histories of runs by modality, epoch by epoch: means over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionlab.balancing.signals import SIGNALS
from fusionlab.reporting.scores import Floats
from fusionlab.studies.record import Row

JOINT = "joint"
READ = {*SIGNALS, "heard_loss", "heard_certainty", "valid_loss"}
"""Kinds that were read; all others tell what a balancer did."""


@dataclass(frozen=True, eq=False)
class Course:
    """One number by epoch: the mean over seeds, and the standard deviation (0 for one seed)."""

    epochs: Floats
    mean: Floats
    spread: Floats


Courses = dict[str, dict[str, Course]]
"""Kind -> modality -> course."""


def courses(row: Row) -> Courses:
    """All that the runs of a row tell of single modalities (or of the joint loss, as ``joint``).

    As far as every seed went: a mean over ever fewer seeds would move by who is left.
    """
    last = min((len(record.history) for record in row.records), default=0)
    names = {JOINT: None}
    for record in row.records:
        names |= dict.fromkeys(record.dataset.get("features", ()))
    found: Courses = {}
    for key in dict.fromkeys(key for r in row.records for entry in r.history for key in entry):
        kind, _, name = key.partition(".")
        if name in names and (course := _course(row, key, last)) is not None:
            found.setdefault(kind, {})[name] = course
    return found


def did(row: Row) -> Courses:
    """Those that tell what a balancer did."""
    return {kind: by_name for kind, by_name in courses(row).items() if kind not in READ}


def coalition_training(row: Row) -> str:
    """On what of coalitions the runs of a row were trained."""
    found: Iterable[str] = (record.coalition_training for record in row.records)
    return "; ".join(dict.fromkeys(found))


def modalities_of(rows: Sequence[Row]) -> list[str]:
    """Every modality that runs read, in the order in which they come."""
    names = (name for row in rows for r in row.records for name in r.dataset.get("features", ()))
    return list(dict.fromkeys(names))


def _course(row: Row, key: str, last: int) -> Course | None:
    """Of the epochs in which every seed has the number; None where there is none."""
    kept = [e for e in range(last) if all(key in record.history[e] for record in row.records)]
    if not kept:
        return None
    values = np.array([[record.history[e][key] for e in kept] for record in row.records])
    spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(kept))
    return Course(np.array(kept) + 1.0, values.mean(0), spread)
