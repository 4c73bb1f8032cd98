"""The quality table: every figure with both its spreads, and who beats the strongest control."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fusionlab.errors import FusionlabError, one_of
from fusionlab.reporting.comparison import against, effects, reference_row
from fusionlab.reporting.quality_notes import (
    Bounds,
    coalitions,
    figures_note,
    gain_note,
    incomplete,
    notes_on_tests,
    warnings,
)
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
)
from fusionlab.reporting.tuning import HOW, trials_cell, tuned, tuning_notes
from fusionlab.reporting.verdicts import Part, Verdicts, verdict_columns
from fusionlab.studies.record import Row

FLOORS = ("popularity", "shuffled features")
CEILING = "achievable, all atoms"


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
    parts = [*_naming(), (_SEEDS, _seeds(_planned(rows)))]
    if tuned(rows):
        parts.append((Column("trials", how=HOW), trials_cell))
    for metric in dict.fromkeys(metrics):
        parts += _figures(metric, split, scores, _emphases(rows, scores, metric))
    if opponent is not None and verdicts:
        sizes = effects(opponent, [*verdicts], scores, main)
        tested = Verdicts(opponent.label, main, split, verdicts, sizes)
        parts += verdict_columns(tested, "vs control" if reference is None else "vs reference")
    if bounds:
        parts.append((_gain_column(main, split, bounds), _gain(scores, main, bounds)))
    return Table(
        title=title,
        columns=[column for column, _ in parts],
        groups=[
            Group(name, [[cell(row) for _, cell in parts] for row in members])
            for name, members in grouped(rows).items()
        ],
        notes=[
            figures_note(rows, scores, split),
            *notes_on_tests(rows, scores, main, opponent, verdicts, chosen=reference is None),
            *gain_note(main, bounds),
            *incomplete(rows, _planned(rows)),
            *tuning_notes(rows),
            *coalitions(rows),
            *warnings(rows),
        ],
        sources={row.label: [record.id for record in row.records] for row in rows},
    )


_SEEDS = Column("seeds", reads=(("config", "seed"),), how="how many runs the row has")


def _naming() -> list[Part]:
    of = "of the row in its study"
    return [
        (Column("row", "text", how=f"the label {of}"), lambda row: Cell(row.label)),
        (Column("kind", "text", shown=False, how=f"the kind {of}"), lambda row: Cell(row.kind)),
        (Column("level", "text", shown=False, how=f"the level {of}"), lambda row: Cell(row.level)),
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


def _figures(metric: str, split: str, scores: Scores, emphases: dict[str, Emphasis]) -> list[Part]:
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

    means, users = ("metrics", split, metric), ("per_user", split, metric)
    interval = f"{LEVEL:.0%} confidence interval of the mean over users, each averaged over seeds"
    how = f"mean over seeds of each run's mean over users; ±: half the {interval}"
    ends = f"end of the {interval}"
    deviation = "standard deviation over seeds (n - 1) of each run's mean over users"
    return [
        (Column(metric, reads=(means, users), how=how), mean),
        (Column(f"{metric} low", shown=False, reads=(users,), how=f"lower {ends}"), bound(0)),
        (Column(f"{metric} high", shown=False, reads=(users,), how=f"upper {ends}"), bound(1)),
        (Column(f"{metric} sd", header="sd", reads=(means,), how=deviation), spread),
    ]


def _emphases(rows: Sequence[Row], scores: Scores, metric: str) -> dict[str, Emphasis]:
    """Best and second best of the strategies; ties share a place, and nobody wins alone."""
    means = {row.label: scores[row.label][metric].mean for row in rows if row.kind == "strategy"}
    places = sorted(set(means.values()), reverse=True)[:2]
    if len(places) < 2:
        return {}
    marks = dict(zip(places, (Emphasis.BEST, Emphasis.SECOND), strict=True))
    return {label: marks.get(mean, Emphasis.NONE) for label, mean in means.items()}


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


def _gain_column(main: str, split: str, bounds: Bounds) -> Column:
    how = f"(mean - floor) / (ceiling - floor); floor: {bounds.floor}, ceiling: {bounds.ceiling}"
    reads = (("metrics", split, main),)
    return Column("gain", reads=reads, how=how, beside=(bounds.floor, bounds.ceiling))


def _gain(scores: Scores, main: str, bounds: Bounds) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        share = (scores[row.label][main].mean - bounds.low) / (bounds.high - bounds.low)
        return Cell(decimal(share, 2), share)

    return cell
