"""What stands below the quality table: what its figures and tests are, and what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusionlab.evaluation.significance import Comparison
from fusionlab.reporting.comparison import ALPHA
from fusionlab.reporting.scores import LEVEL, Scores
from fusionlab.reporting.table import decimal
from fusionlab.studies.record import Row


@dataclass(frozen=True)
class Bounds:
    """The rows between which gain is counted, and their means."""

    floor: str
    ceiling: str
    low: float
    high: float


def _unit(rows: Sequence[Row]) -> str:
    """What a mean is over: users who are served, or items that are classified."""
    tasks = {record.config.get("task") for row in rows for record in row.records}
    return "items" if tasks == {"classification"} else "users"


def figures_note(rows: Sequence[Row], scores: Scores, split: str) -> str:
    """What the figures are means over, and their marks."""
    first = next(iter(scores.values()), {})
    counts = {name: len(s.users) for name, s in first.items() if s.users is not None}
    over = ""
    if counts:
        users = max(counts.values())
        over = f"; ± half width of the {LEVEL:.0%} confidence interval over {users} {_unit(rows)}"
        fewer = [f"{name}: {count}" for name, count in counts.items() if count < users]
        over += f" ({', '.join(fewer)})" if fewer else ""
    return (
        f"Means over seeds on {split}{over}; sd: standard deviation over seeds. "
        "Of the strategies the best is bold and the second best underlined."
    )


def notes_on_tests(
    rows: Sequence[Row],
    scores: Scores,
    main: str,
    opponent: Row | None,
    verdicts: dict[str, Comparison],
    *,
    chosen: bool,
) -> list[str]:
    """What was tested against what, and which controls no strategy is above."""
    if opponent is None:
        return ["No control among the rows: no strategy was tested."]
    notes = []
    if verdicts:
        why = "the strongest control on validation" if chosen else "chosen by name"
        notes.append(
            f"Tested on {main} against {opponent.label} ({why}): + above, - below, = does not "
            f"differ at {decimal(ALPHA, 2)}; two-sided paired permutation over {_unit(rows)} "
            f"averaged over seeds, p Holm-corrected over {len(verdicts)} tests."
        )
    means = {row.label: scores[row.label][main].mean for row in rows if row.kind == "strategy"}
    best = max(means, key=lambda label: means[label], default=None)
    for row in rows:
        mean = scores[row.label][main].mean
        if row.kind == "control" and best is not None and mean >= means[best]:
            notes.append(
                f"No strategy is above the control {row.label} on {main}: it has {decimal(mean)}, "
                f"the best strategy ({best}) {decimal(means[best])}."
            )
    return notes


def gain_note(main: str, bounds: Bounds | None) -> list[str]:
    """Between which rows gain is counted."""
    if bounds is None:
        return []
    return [f"gain: share of the way from {bounds.floor} (0) to {bounds.ceiling} (1) on {main}."]


def incomplete(rows: Sequence[Row], planned: int) -> list[str]:
    """Which rows have fewer than the ``planned`` seeds."""
    return [
        f"Incomplete: {row.label} has {len(row.records)} of {planned} seeds."
        for row in rows
        if row.kind != "ceiling" and len(row.records) < planned
    ]


def coalitions(rows: Sequence[Row]) -> list[str]:
    """Say which rows saw subsets of the modalities in training, where any did."""
    trained: dict[str, list[str]] = {}
    for row in rows:
        for kind in dict.fromkeys(record.coalition_training for record in row.records):
            if kind not in ("", "none"):
                trained.setdefault(kind, []).append(row.label)
    if not trained:
        return []
    listed = "; ".join(f"{kind} ({', '.join(labels)})" for kind, labels in sorted(trained.items()))
    return [f"Trained on subsets of the modalities: {listed}; the other rows on full inputs only."]


def warnings(rows: Sequence[Row]) -> list[str]:
    """What the runs of a row warn of, such as a modality that is not used."""
    notes = []
    for row in rows:
        said = [text for record in row.records for text in record.warnings]
        for text in dict.fromkeys(said):
            times = f"{said.count(text)} of {len(row.records)} runs"
            notes.append(f"WARNING, {row.label}: {text} ({times}).")
    return notes
