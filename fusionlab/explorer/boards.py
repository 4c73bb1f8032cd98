"""What is explored: studies and runs that are finished, each a board of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from fusionlab.config import Study, experiment_from, load_study
from fusionlab.reporting.results import Results, read_results
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.record import Row
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.study import plan


@dataclass(frozen=True, eq=False)
class Board:
    """The results of a study, or of one run.

    Args:
        results: rows and how they are judged.
        ranks: has it users to recommend to (and not classes)?
    """

    results: Results
    ranks: bool = True

    @property
    def title(self) -> str:
        """What it is called."""
        return self.results.title

    @property
    def dataset(self) -> str:
        """The name of its data."""
        return str(self.rows[0].records[0].dataset["name"])

    @property
    def rows(self) -> Sequence[Row]:
        """Its rows."""
        return self.results.rows

    @property
    def main(self) -> str:
        """The metric that rows are tested by."""
        return self.results.main

    @cached_property
    def strategies(self) -> list[str]:
        """Labels of the rows that recommend and whose models were kept, strategies first."""
        kept = [
            row
            for row in self.rows
            if self.ranks and row.kind != "ceiling" and _model_of(row).is_file()
        ]
        return [row.label for row in sorted(kept, key=lambda row: row.kind != "strategy")]

    def row(self, label: str) -> Row:
        """The row of this label."""
        return next(row for row in self.rows if row.label == label)


def _model_of(row: Row) -> Path:
    folder = row.records[0].folder
    assert folder is not None
    return folder / MODEL_FILE


def open_board(target: str, store: RunStore, plugins: Sequence[str] = ()) -> Board:
    """The board of a study's file or, where there is no such file, of the run whose id begins so.

    Raises:
        FusionlabError: neither, a file that is no study, or a study that is not finished.
    """
    file = Path(target)
    if file.suffix in (".yaml", ".yml") or file.is_file():
        found = read_results(file, store.root, plugins=plugins)
        task = load_study(file, (), plugins).experiment.task
    else:
        record = store.find(target)
        experiment = experiment_from(record.config)
        title, task = f"Run {record.id[:12]}", experiment.task
        study = Study(title=title, experiment=experiment, seeds=(experiment.seed,))
        planned = plan(study, partial(load_dataset, features=store.features))
        (row,) = planned.rows
        rows = [Row(row.variants[0].label, row.kind, [record], row.level, row.additive)]
        found = Results(title, rows, planned.metrics, planned.main)
    return Board(found, task == "recommendation")
