"""The scores of rows: means over seeds and users, with both spreads, on the same users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.cold import GROUPS
from fusionlab.evaluation.significance import mean_interval, over_seeds
from fusionlab.studies.record import Row, RunRecord

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
AGREEMENT = 1e-6
"""How far a record's mean may stand from the mean of its own users (they differ by rounding)."""


@dataclass(frozen=True, eq=False)
class Score:
    """One metric of one row on one split.

    ``seeds`` holds the mean over users of each seed. ``by_seed`` (S, U) is each user's score of
    each seed, ``users`` (U,) their average over the seeds and ``interval`` the confidence interval
    of its mean; all are None for a figure that no single user has (``coverage@20``). U are the
    users whom the metric judges, which are not all for one such as ``ndcg@20 on cold items``.
    """

    seeds: tuple[float, ...]
    users: Floats | None = None
    interval: tuple[float, float] | None = None
    by_seed: Floats | None = None

    @property
    def mean(self) -> float:
        """The mean over seeds (of the means over users)."""
        return float(np.mean(self.seeds))

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds (n - 1); None for a single seed."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None

    @property
    def ends(self) -> tuple[float, float]:
        """The interval; the mean twice where there is none."""
        return self.interval or (self.mean, self.mean)


Scores = dict[str, dict[str, Score]]
"""Row label -> metric -> score."""


def read_scores(rows: Sequence[Row], metrics: Sequence[str], split: str) -> Scores:
    """The scores of every row, after checking that all were judged on the same users.

    Raises:
        FusionlabError: no rows, a label twice, a row without runs or with the same run twice, an
            unknown split or metric, per-user scores that are missing, double, or do not average
            to the record's mean, and rows (named) whose users differ.
    """
    _check_rows(rows)
    scores: Scores = {}
    first: dict[str, tuple[str, pl.Series]] = {}
    for row in rows:
        frames = [_users_of(row, record, split) for record in row.records]
        for frame in frames:
            for metric in ("user", *metrics):
                found = row.label, _judged(frame, metric)["user"]
                _check_same_users(first.setdefault(metric, found), found, split)
        scores[row.label] = {
            metric: _score(row, frames, metric, split) for metric in dict.fromkeys(metrics)
        }
    return scores


def recorded(row: Row, record: RunRecord, split: str, metric: str) -> float:
    """The mean that a record holds for a metric on a split."""
    where = f"row {row.label!r}, run {record.id[:12]}"
    if split not in record.metrics:
        raise FusionlabError(f"{where}: split: {one_of(split, record.metrics)}")
    if metric not in record.metrics[split]:
        raise FusionlabError(f"{where}: metric: {one_of(metric, record.metrics[split])}")
    return record.metrics[split][metric]


def _check_rows(rows: Sequence[Row]) -> None:
    if not rows:
        raise FusionlabError("report: found no rows, expected at least one")
    for label, count in Counter(row.label for row in rows).items():
        if count > 1:
            raise FusionlabError(
                f"report: found {count} rows labelled {label!r}, expected one (labels name rows)"
            )
    for row in rows:
        if not row.records:
            raise FusionlabError(f"row {row.label!r}: found no runs, expected one a seed")
        for run, count in Counter(record.id for record in row.records).items():
            if count > 1:
                raise FusionlabError(
                    f"row {row.label!r}: found run {run[:12]} {count} times, expected each once"
                )


def _users_of(row: Row, record: RunRecord, split: str) -> pl.DataFrame:
    frame = record.per_user().filter(pl.col("split") == split).sort("user")
    where = f"row {row.label!r}, run {record.id[:12]}: per-user scores on {split}"
    if frame.is_empty():
        raise FusionlabError(f"{where}: found no user, expected one row a user")
    double = frame["user"].is_duplicated()
    if double.any():
        raise FusionlabError(
            f"{where}: found user {frame['user'].filter(double)[0]!r} more than once, expected one "
            "row a user"
        )
    return frame


def _check_same_users(
    first: tuple[str, pl.Series], other: tuple[str, pl.Series], split: str
) -> None:
    (first_label, expected), (label, found) = first, other
    if expected.dtype == found.dtype and expected.equals(found):
        return
    if expected.dtype != found.dtype:
        detail = f"user ids are {expected.dtype} in the one and {found.dtype} in the other"
    else:
        detail = "; ".join(
            f"{len(alone)} only in {name!r} (such as {alone.sort()[0]!r})"
            for name, alone in (
                (first_label, expected.filter(~expected.is_in(found.implode()))),
                (label, found.filter(~found.is_in(expected.implode()))),
            )
            if len(alone)
        )
    raise FusionlabError(
        f"rows {first_label!r} and {label!r}: found different users on {split} ({detail}), "
        "expected the same users in every run: means over other users do not compare"
    )


def _score(row: Row, frames: list[pl.DataFrame], metric: str, split: str) -> Score:
    means = tuple(recorded(row, record, split, metric) for record in row.records)
    if all(metric not in frame.columns for frame in frames):
        return Score(means)
    by_seed: list[Floats] = []
    for record, frame, mean in zip(row.records, frames, means, strict=True):
        by_seed.append(_column(row, record, frame, metric))
        if not abs(by_seed[-1].mean() - mean) <= AGREEMENT:  # NaN agrees with nothing
            raise FusionlabError(
                f"row {row.label!r}, run {record.id[:12]}: the record says {metric} = {mean!r} on "
                f"{split}, but its users average {float(by_seed[-1].mean())!r}: one of the two was "
                "changed; delete the run's folder and run it again"
            )
    users = over_seeds(by_seed)
    return Score(
        tuple(float(values.mean()) for values in by_seed),
        users,
        mean_interval(users, level=LEVEL),
        np.stack(by_seed),
    )


def _judged(frame: pl.DataFrame, metric: str) -> pl.DataFrame:
    """The rows of the users whom a metric judges: all, but for one of a group (`GROUPS`)."""
    if metric not in frame.columns or not metric.endswith(GROUPS):
        return frame
    return frame.filter(pl.col(metric).is_not_null())


def _column(row: Row, record: RunRecord, frame: pl.DataFrame, metric: str) -> Floats:
    where = f"row {row.label!r}, run {record.id[:12]}"
    if metric not in frame.columns:
        raise FusionlabError(
            f"{where}: per-user metric: {one_of(metric, set(frame.columns) - {'user', 'split'})}"
        )
    frame = _judged(frame, metric)
    values = frame[metric].cast(pl.Float64).to_numpy()
    bad = ~np.isfinite(values)
    if bad.any():
        user = frame["user"].to_list()[int(bad.argmax())]
        raise FusionlabError(
            f"{where}: {metric}: found {values[bad][0]} for user {user!r} "
            f"(and {int(bad.sum()) - 1} more), expected a finite number"
        )
    return values
