"""A report in a folder: tables in four formats, figures in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from fusionlab.data.disk import write_whole
from fusionlab.reporting.dynamics import learning_speed, weights_over_time
from fusionlab.reporting.quality_against_cost import CostName, quality_against_cost, timed
from fusionlab.reporting.render import to_csv, to_html, to_latex, to_markdown
from fusionlab.reporting.results import Results
from fusionlab.reporting.robustness import curves_in, robustness
from fusionlab.reporting.seed_spread import seed_spread
from fusionlab.reporting.style import save
from fusionlab.reporting.table import Table
from fusionlab.reporting.tuning_curves import tuning_curves

FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "tex": to_latex,
    "html": to_html,
}


@dataclass(frozen=True)
class Report:
    """What was written: the tables by name, and every file."""

    tables: dict[str, Table]
    files: list[Path]


def write_report(results: Results, folder: Path, *, cost: CostName = "seconds_per_epoch") -> Report:
    """Write tables and figures of a study into ``folder``.

    ``quality``, ``cost``, on synthetic data ``atoms``, where rows were tuned ``tuning`` (.md, .csv,
    .tex, .html), ``seed_spread`` and, where strategies took time, ``quality_against_cost``, where
    curves were measured ``robustness``, where rows were tuned ``tuning_curves`` (.pdf, .png); where
    runs tell of single modalities, ``learning_speed``, and where balancers did something,
    ``weights_over_time``, of many rows on numbered pages; and ``study.json``, which names the runs
    of every row. Everything is computed before anything is
    written, and no file is ever half written. ``cost`` picks the time of the figure.

    Raises:
        FusionlabError: see `quality_table`.
    """
    rows, main, split = results.rows, results.main, results.split
    tables = results.tables()
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
    paths.append(results.write(folder))
    return Report(tables, paths)


def _numbered(name: str, pages: Sequence[Figure]) -> dict[str, Figure]:
    """The pages by file name; a number where there are several."""
    several = len(pages) > 1
    return {f"{name}_{k}" if several else name: page for k, page in enumerate(pages, 1)}
