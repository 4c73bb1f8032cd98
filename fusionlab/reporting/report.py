"""A report in a folder: tables in three formats, figures in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from fusionlab.reporting.atoms import atom_table, known_atoms
from fusionlab.reporting.comparison import leaders
from fusionlab.reporting.cost import cost_table
from fusionlab.reporting.dynamics import learning_speed, weights_over_time
from fusionlab.reporting.figures import CostName, quality_against_cost, seed_spread, timed
from fusionlab.reporting.files import write_whole
from fusionlab.reporting.quality import quality_table
from fusionlab.reporting.render import to_csv, to_latex, to_markdown
from fusionlab.reporting.robustness import curves_in, robustness
from fusionlab.reporting.scores import read_scores
from fusionlab.reporting.style import save
from fusionlab.reporting.table import Table
from fusionlab.reporting.tuning import tuned, tuning_table
from fusionlab.reporting.tuning_curves import tuning_curves
from fusionlab.studies.record import Row

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "tex": to_latex,
}


@dataclass(frozen=True)
class Report:
    """What was written: the tables by name, and every file."""

    tables: dict[str, Table]
    files: list[Path]


def write_report(
    rows: Sequence[Row],
    folder: Path,
    title: str,
    *,
    metrics: Sequence[str],
    main: str,
    split: str = "test",
    reference: str | None = None,
    floor: str | None = None,
    ceiling: str | None = None,
    cost: CostName = "seconds_per_epoch",
) -> Report:
    """Write tables and figures about ``rows`` into ``folder``.

    ``quality``, ``cost``, where rows were tuned ``tuning`` and, on synthetic data, ``atoms`` (.md,
    .csv, .tex), ``seed_spread`` and, where strategies took time, ``quality_against_cost``, where
    curves were measured ``robustness``, where rows were tuned ``tuning_curves`` (.pdf, .png); where
    runs tell of single modalities, ``learning_speed``, and where balancers did something,
    ``weights_over_time``, of many rows on numbered pages. Everything is computed before anything is
    written, and no file is ever half written. The arguments are those of `quality_table`; ``cost``
    picks the time of the figure.

    Raises:
        FusionlabError: see `quality_table`.
    """
    quality = quality_table(
        rows,
        metrics=metrics,
        main=main,
        split=split,
        reference=reference,
        floor=floor,
        ceiling=ceiling,
        title=f"{title}: quality",
    )
    tables = {"quality": quality}
    if known_atoms(rows):
        tables["atoms"] = atom_table(rows, title=f"{title}: atoms found")
    best = leaders(rows, read_scores(rows, [main], split), main)
    tables["cost"] = cost_table(rows, leaders=best, title=f"{title}: cost")
    if tuned(rows):
        tables["tuning"] = tuning_table(rows, title=f"{title}: tuning")
    texts = {
        f"{name}.{suffix}": render(table)
        for name, table in tables.items()
        for suffix, render in FORMATS.items()
    }
    figures = {"seed_spread": seed_spread(rows, main, split=split)}
    if timed(rows, cost):
        figures["quality_against_cost"] = quality_against_cost(rows, main, cost=cost, split=split)
    if curves_in(rows, main, split):
        figures["robustness"] = robustness(rows, main, split=split)
    figures |= _numbered("tuning_curves", tuning_curves(rows))
    figures |= _numbered("learning_speed", learning_speed(rows))
    figures |= _numbered("weights_over_time", weights_over_time(rows))
    paths = [write_whole(folder / name, text.encode()) for name, text in texts.items()]
    for name, figure in figures.items():
        paths += save(figure, folder / name)
    return Report(tables, paths)


def _numbered(name: str, pages: Sequence[Figure]) -> dict[str, Figure]:
    """The pages by file name; a number where there are several."""
    several = len(pages) > 1
    return {f"{name}_{k}" if several else name: page for k, page in enumerate(pages, 1)}
