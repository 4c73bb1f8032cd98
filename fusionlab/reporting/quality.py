"""The quality table: every figure with both its spreads, and who beats the strongest control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.significance import Comparison
from fusionlab.reporting.comparison import ALPHA, against, reference_row, symbol
from fusionlab.reporting.scores import LEVEL, Score, Scores, read_scores
from fusionlab.reporting.table import (
    ABSENT,
    Cell,
    Column,
    Emphasis,
    Group,
    Table,
    decimal,
    grouped,
    probability,
)
from fusionlab.studies.record import Row

FLOORS = ("popularity", "shuffled features")
CEILING = "achievable, all atoms"
Part = tuple[Column, Callable[[Row], Cell]]


def quality_table(
    rows: Sequence[Row],
    *,
    metrics: Sequence[str],
    main: str,
    split: str = "test",
    reference: str | None = None,
    floor: str | None = None,
    ceiling: str | None = None,
    title: str = "Quality",
) -> Table:
    """How good each row is, how sure that is, and whether it beats the strongest control.

    Every metric is a mean over seeds (higher is better) with its 95 % confidence interval over
    users (each averaged over the seeds) and its standard deviation over seeds. Strategies are
    tested against the control that is strongest on validation: paired permutation over users,
    Holm-corrected. Only strategies compete for best and second best. The table holds neither times
    nor machines: a re-run gives the same bytes.

    Args:
        rows: strategies, controls and ceilings, judged on the same users.
        metrics: columns, such as ``recall@20``.
        main: the one of ``metrics`` that picks the control and is tested.
        split: where the rows are judged.
        reference: label of the row to test against, in place of the strongest control.
        floor: label of the row whose gain is 0. By default "popularity", or "shuffled features".
        ceiling: label of the row whose gain is 1: gain = (mean - floor) / (ceiling - floor). By
            default "achievable, all atoms"; without such a row there is no gain column.
        title: the table's.

    Raises:
        FusionlabError: see `read_scores`; ``main`` not among ``metrics``; a label that is no row.
    """
    if main not in metrics:
        raise FusionlabError(f"main: {one_of(main, metrics)}")
    scores = read_scores(rows, metrics, split)
    opponent = reference_row(rows, main, reference)
    verdicts = against(opponent, rows, scores, main)
    bounds = _bounds(scores, main, floor, ceiling)
    parts = [*_naming(), (Column("seeds"), _seeds(_planned(rows)))]
    for metric in dict.fromkeys(metrics):
        parts += _figures(metric, scores, _emphases(rows, scores, metric))
    if verdicts:
        parts += _tests(verdicts, "vs control" if reference is None else "vs reference")
    if bounds:
        parts.append((Column("gain"), _gain(scores, main, bounds)))
    return Table(
        title=title,
        columns=[column for column, _ in parts],
        groups=[
            Group(name, [[cell(row) for _, cell in parts] for row in members])
            for name, members in grouped(rows).items()
        ],
        notes=[
            _figures_note(rows, scores, split),
            *_test_notes(rows, scores, main, opponent, verdicts, chosen=reference is None),
            *_gain_note(main, bounds),
            *_incomplete(rows),
            *_coalitions(rows),
            *_warnings(rows),
        ],
        sources={row.label: [record.id for record in row.records] for row in rows},
    )


def _naming() -> list[Part]:
    return [
        (Column("row", "text"), lambda row: Cell(row.label)),
        (Column("kind", "text", shown=False), lambda row: Cell(row.kind)),
        (Column("level", "text", shown=False), lambda row: Cell(row.level)),
    ]


def _planned(rows: Sequence[Row]) -> int:
    return max(len(row.records) for row in rows)


def _seeds(planned: int) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        found = len(row.records)
        # What a ceiling knows does not depend on a training seed: one run is all there is.
        complete = found == planned or row.kind == "ceiling"
        return Cell(str(found) if complete else f"{found}/{planned}", found)

    return cell


def _figures(metric: str, scores: Scores, emphases: dict[str, Emphasis]) -> list[Part]:
    def score(row: Row) -> Score:
        return scores[row.label][metric]

    def mean(row: Row) -> Cell:
        found = score(row)
        text = decimal(found.mean)
        if found.interval:
            low, high = found.interval
            text += f" ±{decimal((high - low) / 2)}"
        return Cell(text, found.mean, emphases.get(row.label, Emphasis.NONE))

    def bound(side: int) -> Callable[[Row], Cell]:
        def cell(row: Row) -> Cell:
            interval = score(row).interval
            return Cell(decimal(interval[side]), interval[side]) if interval else ABSENT

        return cell

    def spread(row: Row) -> Cell:
        found = score(row).spread
        return ABSENT if found is None else Cell(decimal(found), found)

    return [
        (Column(metric), mean),
        (Column(f"{metric} low", shown=False), bound(0)),
        (Column(f"{metric} high", shown=False), bound(1)),
        (Column(f"{metric} sd", header="sd"), spread),
    ]


def _emphases(rows: Sequence[Row], scores: Scores, metric: str) -> dict[str, Emphasis]:
    """Best and second best of the strategies; ties share a place, and nobody wins alone."""
    means = {row.label: scores[row.label][metric].mean for row in rows if row.kind == "strategy"}
    places = sorted(set(means.values()), reverse=True)[:2]
    if len(places) < 2:
        return {}
    marks = dict(zip(places, (Emphasis.BEST, Emphasis.SECOND), strict=True))
    return {label: marks.get(mean, Emphasis.NONE) for label, mean in means.items()}


def _tests(verdicts: dict[str, Comparison], header: str) -> list[Part]:
    def shown(row: Row) -> Cell:
        found = verdicts.get(row.label)
        if found is None:
            return ABSENT
        return Cell(f"{symbol(found)} {probability(found.p_holm)}", found.p_holm)

    def hidden(figure: Callable[[Comparison], float]) -> Callable[[Row], Cell]:
        def cell(row: Row) -> Cell:
            found = verdicts.get(row.label)
            return ABSENT if found is None else Cell(decimal(figure(found)), figure(found))

        return cell

    return [
        (Column("difference", shown=False), hidden(lambda found: found.difference)),
        (Column("difference low", shown=False), hidden(lambda found: found.interval[0])),
        (Column("difference high", shown=False), hidden(lambda found: found.interval[1])),
        (Column("p", shown=False), hidden(lambda found: found.p)),
        (Column("p (Holm)", header=header), shown),
    ]


@dataclass(frozen=True)
class Bounds:
    """The rows between which gain is counted, and their means."""

    floor: str
    ceiling: str
    low: float
    high: float


def _bounds(scores: Scores, main: str, floor: str | None, ceiling: str | None) -> Bounds | None:
    """Floor and ceiling as named, or the usual ones where they stand and leave room for a gain."""
    asked = floor is not None or ceiling is not None
    floor = floor or next((label for label in FLOORS if label in scores), FLOORS[0])
    ceiling = ceiling or CEILING
    if not asked and not {floor, ceiling} <= set(scores):
        return None
    for key, label in (("floor", floor), ("ceiling", ceiling)):
        if label not in scores:
            raise FusionlabError(f"{key}: {one_of(label, scores)}")
    low, high = scores[floor][main].mean, scores[ceiling][main].mean
    if low < high:
        return Bounds(floor, ceiling, low, high)
    if not asked:
        return None
    raise FusionlabError(
        f"ceiling: found {ceiling!r} at {high:.4f} of {main}, expected it above the floor "
        f"{floor!r} at {low:.4f}: no gain to share"
    )


def _gain(scores: Scores, main: str, bounds: Bounds) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        share = (scores[row.label][main].mean - bounds.low) / (bounds.high - bounds.low)
        return Cell(decimal(share, 2), share)

    return cell


def _unit(rows: Sequence[Row]) -> str:
    """What a mean is over: users who are served, or items that are classified."""
    tasks = {record.config.get("task") for row in rows for record in row.records}
    return "items" if tasks == {"classification"} else "users"


def _figures_note(rows: Sequence[Row], scores: Scores, split: str) -> str:
    users = next(
        (len(s.users) for of in scores.values() for s in of.values() if s.users is not None), None
    )
    over = (
        ""
        if users is None
        else f"; ± half width of the {LEVEL:.0%} confidence interval over {users} {_unit(rows)}"
    )
    return (
        f"Means over seeds on {split}{over}; sd: standard deviation over seeds. "
        "Of the strategies the best is bold and the second best underlined."
    )


def _test_notes(
    rows: Sequence[Row],
    scores: Scores,
    main: str,
    opponent: Row | None,
    verdicts: dict[str, Comparison],
    *,
    chosen: bool,
) -> list[str]:
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


def _gain_note(main: str, bounds: Bounds | None) -> list[str]:
    if bounds is None:
        return []
    return [f"gain: share of the way from {bounds.floor} (0) to {bounds.ceiling} (1) on {main}."]


def _incomplete(rows: Sequence[Row]) -> list[str]:
    planned = _planned(rows)
    return [
        f"Incomplete: {row.label} has {len(row.records)} of {planned} seeds."
        for row in rows
        if row.kind != "ceiling" and len(row.records) < planned
    ]


def _coalitions(rows: Sequence[Row]) -> list[str]:
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


def _warnings(rows: Sequence[Row]) -> list[str]:
    """What the runs of a row warn of, such as a modality that is not used."""
    notes = []
    for row in rows:
        said = [text for record in row.records for text in record.warnings]
        for text in dict.fromkeys(said):
            times = f"{said.count(text)} of {len(row.records)} runs"
            notes.append(f"WARNING, {row.label}: {text} ({times}).")
    return notes
