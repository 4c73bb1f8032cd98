"""The columns of the quality table that compare each strategy with one reference row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fusionlab.evaluation.significance import Comparison
from fusionlab.reporting.comparison import symbol
from fusionlab.reporting.scores import LEVEL
from fusionlab.reporting.table import ABSENT, Cell, Column, decimal, probability
from fusionlab.statistics.effects import Effect
from fusionlab.studies.record import Row

Part = tuple[Column, Callable[[Row], Cell]]
"""A column and what stands in it of a row."""


@dataclass(frozen=True)
class Verdicts:
    """Strategies by label against the row ``reference``: verdicts and effect sizes."""

    reference: str
    metric: str
    split: str
    verdicts: Mapping[str, Comparison]
    effects: Mapping[str, Effect]


def verdict_columns(tested: Verdicts, header: str) -> list[Part]:
    """What readers see is the verdict with its corrected p; the rest stands in CSV only."""
    reference, verdicts, effects = tested.reference, tested.verdicts, tested.effects
    reads = (("per_user", tested.split, tested.metric),)

    def hidden(name: str, how: str, figure: Callable[[str], float | None]) -> Part:
        def cell(row: Row) -> Cell:
            found = figure(row.label) if row.label in verdicts else None
            return ABSENT if found is None else Cell(decimal(found), found)

        how = f"{how}; users are averaged over seeds, reference: {reference}"
        return Column(name, shown=False, reads=reads, how=how, beside=(reference,)), cell

    def verdict(row: Row) -> Cell:
        found = verdicts.get(row.label)
        if found is None:
            return ABSENT
        return Cell(f"{symbol(found)} {probability(found.p_holm)}", found.p_holm)

    how = (
        f"p of the paired permutation test against {reference}, Holm-corrected over the "
        f"{len(verdicts)} tests of this column; + above, - below, = does not differ"
    )
    family = (reference, *verdicts)
    corrected = Column("p (Holm)", header=header, reads=reads, how=how, beside=family)
    low, high = (f"{side} end of the {LEVEL:.0%} interval of the" for side in ("lower", "upper"))
    mean, d = "mean over users of row - reference", "mean / standard deviation of row - reference"
    better = "share of users whom the row serves better"

    def end(side: int) -> Callable[[str], float | None]:
        def figure(label: str) -> float | None:
            interval = effects[label].interval
            return None if interval is None else interval[side]

        return figure

    def end_of_share(side: int) -> Callable[[str], float]:
        return lambda label: effects[label].better_interval[side]

    return [
        hidden("difference", mean, lambda label: verdicts[label].difference),
        hidden("difference low", f"{low} {mean}", lambda label: verdicts[label].interval[0]),
        hidden("difference high", f"{high} {mean}", lambda label: verdicts[label].interval[1]),
        hidden("d", d, lambda label: effects[label].d),
        hidden("d low", f"{low} {d}", end(0)),
        hidden("d high", f"{high} {d}", end(1)),
        hidden("users better", better, lambda label: effects[label].better),
        hidden("users better low", f"{low} {better}", end_of_share(0)),
        hidden("users better high", f"{high} {better}", end_of_share(1)),
        hidden(
            "users worse",
            "share of users whom the row serves worse",
            lambda label: effects[label].worse,
        ),
        hidden("p", "two-sided paired permutation test", lambda label: verdicts[label].p),
        (corrected, verdict),
    ]
