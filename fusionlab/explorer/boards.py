"""What is explored: studies and runs that are finished, each a board of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from fusionlab.config import Study, experiment_from, load_study
from fusionlab.errors import FusionlabError
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.record import Row
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.study import plan


@dataclass(frozen=True, eq=False)
class Board:
    """A table's rows and how they are judged; ``dataset`` is the name of their data."""

    title: str
    dataset: str
    rows: Sequence[Row]
    metrics: tuple[str, ...]
    main: str
    reference: str | None = None
    floor: str | None = None
    ceiling: str | None = None
    ranks: bool = True
    """Has it users to recommend to (and not classes)?"""

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
    load = partial(load_dataset, features=store.features)
    file = Path(target)
    if file.suffix in (".yaml", ".yml") or file.is_file():
        study = load_study(file, (), plugins)
        planned = plan(study, load)
        missing = sum(run not in store for run in planned.runs)
        if missing:
            raise FusionlabError(
                f"{file}: found {len(planned.runs) - missing} of its {len(planned.runs)} runs "
                f"under {store.root}, expected all: run `fusionlab study {file}` first"
            )
        rows = planned.collect(store)
    else:
        record = store.find(target)
        experiment = experiment_from(record.config)
        study = Study(
            title=f"Run {record.id[:12]}", experiment=experiment, seeds=(experiment.seed,)
        )
        planned = plan(study, load)
        (row,) = planned.rows
        rows = [Row(row.variants[0].label, row.kind, [record], row.level, row.additive)]
    report = study.report
    return Board(
        study.title,
        str(rows[0].records[0].dataset["name"]),
        rows,
        planned.metrics,
        planned.main,
        report.reference,
        report.floor,
        report.ceiling,
        study.experiment.task == "recommendation",
    )
