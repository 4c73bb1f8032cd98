"""The results of a study: finished rows and what their tables were asked, and the file of both."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fusionlab.config import Study, load_study
from fusionlab.data.disk import write_whole
from fusionlab.errors import FusionlabError
from fusionlab.reporting.atoms import atom_table, known_atoms
from fusionlab.reporting.comparison import leaders
from fusionlab.reporting.cost import cost_table
from fusionlab.reporting.quality import quality_table
from fusionlab.reporting.scores import read_scores
from fusionlab.reporting.table import Table
from fusionlab.reporting.tuning import tuned, tuning_table
from fusionlab.schema import said_by
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.record import RUN_ID, Row
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import Plan, plan
from fusionlab.studies.trials.records import Ledger

RESULTS_FILE = "study.json"
RUNS_FOLDER = "runs"
SOURCES = "a study (.yaml), or the folder of a report or of an export"


@dataclass(frozen=True)
class Results:
    """Finished rows, and the arguments of `quality_table` that a study asks for.

    ``config`` is the study as it ran, with all defaults filled in.
    """

    title: str
    rows: Sequence[Row]
    metrics: Sequence[str]
    main: str
    split: str = "test"
    reference: str | None = None
    floor: str | None = None
    ceiling: str | None = None
    config: Mapping[str, Any] | None = None

    def tables(self) -> dict[str, Table]:
        """``quality``, on synthetic data ``atoms``, ``cost``, and of tuned rows ``tuning``."""
        tables = {"quality": self.quality(f"{self.title}: quality")}
        if known_atoms(self.rows):
            tables["atoms"] = atom_table(self.rows, title=f"{self.title}: atoms found")
        best = leaders(self.rows, read_scores(self.rows, [self.main], self.split), self.main)
        tables["cost"] = cost_table(self.rows, leaders=best, title=f"{self.title}: cost")
        if tuned(self.rows):
            tables["tuning"] = tuning_table(self.rows, title=f"{self.title}: tuning")
        return tables

    def quality(self, title: str) -> Table:
        """The table of quality."""
        return quality_table(
            self.rows,
            metrics=self.metrics,
            main=self.main,
            split=self.split,
            reference=self.reference,
            floor=self.floor,
            ceiling=self.ceiling,
            title=title,
        )

    def write(self, folder: Path) -> Path:
        """Write all but the runs themselves, which are named by their ids, into ``folder``."""
        rows = [
            {
                "label": row.label,
                "kind": row.kind,
                "level": row.level,
                "additive": row.additive,
                "runs": [record.id for record in row.records],
                "ledger": None if row.ledger is None else asdict(row.ledger),
            }
            for row in self.rows
        ]
        data = {**vars(self), "rows": rows}
        return write_whole(folder / RESULTS_FILE, (json.dumps(data, indent=1) + "\n").encode())

    @classmethod
    def read(cls, folder: Path, store: RunStore) -> Results:
        """Read back what `write` wrote; the runs come from ``store``.

        Raises:
            FusionlabError: no such file, a file that `write` did not write, or a run that is not in
                the store.
        """
        file = folder / RESULTS_FILE
        try:
            data = json.loads(file.read_text())
            runs = [run for row in data["rows"] for run in row["runs"]]
            if not all(isinstance(run, str) and RUN_ID.fullmatch(run) for run in runs):
                raise ValueError("found a run without a name")  # they name files
            missing = [run for run in runs if run not in store]
            if missing:
                raise FusionlabError(
                    f"{file}: {len(missing)} of its runs are not under {store.root} (such as "
                    f"{missing[0][:12]}), expected --runs with the folder that has them"
                )
            rows = [
                {
                    **{key: row[key] for key in ("label", "kind", "level", "additive")},
                    "records": [store.load(run) for run in row["runs"]],
                    "ledger": None if row["ledger"] is None else Ledger.from_json(row["ledger"]),
                }
                for row in data["rows"]
            ]
            return _checked().validate_python({**data, "rows": rows})
        except FileNotFoundError:
            raise FusionlabError(f"{file}: no such file; expected {SOURCES}") from None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            said = said_by(error)
            raise FusionlabError(f"{file}: not the results of a study ({said})") from None


@cache
def _checked() -> TypeAdapter[Results]:
    return TypeAdapter(Results)


def read_results(
    source: Path, runs: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()
) -> Results:
    """The results of a study, from its file or from the folder of a report or an export.

    An export brings its runs along; those of the others are in the store ``runs``. Of a study's
    file all runs must have finished: nothing is run here.

    Raises:
        FusionlabError: runs that are missing (says how many), or see `Results.read`.
    """
    if source.suffix not in (".yaml", ".yml"):
        if os.path.isfile(source):
            here = f", such as {source.parent}" if source.name == RESULTS_FILE else ""
            raise FusionlabError(f"{source}: found a file, expected {SOURCES}{here}")
        if overrides:
            raise FusionlabError(f"{source}: found overrides beside it, expected a study (.yaml)")
        return Results.read(source, store_of(source, runs))
    study, store = load_study(source, overrides, plugins), RunStore(runs)
    planned = plan(study, lambda experiment: load_dataset(experiment, store.features))
    untuned = [search.label for search in planned.searches if not search.is_done(store)]
    if untuned:
        raise FusionlabError(
            f"{source}: {len(untuned)} of its {len(planned.searches)} rows are not tuned yet (such "
            f"as {untuned[0]!r}); `fusionlab study {source}` does it"
        )
    planned = planned.tuned(store)
    missing = [run for run in planned.runs if run not in store]
    if missing:
        raise FusionlabError(
            f"{source}: {len(missing)} of its {len(planned.runs)} runs are not under {runs} (such "
            f"as {missing[0][:12]}); `fusionlab study {source}` makes them"
        )
    return results_of(study, planned, store)


def results_of(study: Study, planned: Plan, store: RunStore) -> Results:
    """What a study asked for, and its rows; every run must be in the store."""
    return Results(
        study.title,
        planned.collect(store),
        planned.metrics,
        planned.main,
        reference=planned.reference,
        floor=study.report.floor,
        ceiling=study.report.ceiling,
        config=study.model_dump(mode="json"),
    )


def store_of(folder: Path, runs: Path) -> RunStore:
    """The runs of a report's folder: its own where it brings them, else those under ``runs``."""
    own = folder / RUNS_FOLDER
    return RunStore(own if own.is_dir() else runs)
