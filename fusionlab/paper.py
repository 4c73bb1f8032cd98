"""A study from its configuration to its report, as the command line and the experiments run it, and
what scripts ask for on their command lines."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from types import TracebackType

from fusionlab import terminal
from fusionlab.config import Study
from fusionlab.errors import FusionlabError
from fusionlab.reporting.render import to_terminal
from fusionlab.reporting.report import Report, write_report
from fusionlab.reporting.results import Results, read_results, results_of
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.executor import execute
from fusionlab.studies.ray_executor import Cluster
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import Plan, plan
from fusionlab.studies.trials.tune import tune
from fusionlab.tuning import Tuning


def run_study(
    study: Study,
    out: Path,
    *,
    runs: Path = Path("runs"),
    workers: int = 1,
    cluster: Cluster | None = None,
) -> Report:
    """Run what is not in the store ``runs`` yet, write the report into ``out``, print its tables.

    Runs are done by ``workers`` processes of this machine, or on a ``cluster``.

    Raises:
        FusionlabError: what `plan` refuses, or runs that failed (all are named at the end).
    """
    store = RunStore(runs)
    with terminal.encoding() as on_items:
        planned = plan(study, partial(load_dataset, features=store.features, on_items=on_items))
    if study.tune is not None:
        planned = _tuned(planned, study.tune, store, workers, cluster)
    with terminal.runs(study.title, len(planned.runs)) as on_run:
        execute(planned.runs, store, workers=workers, cluster=cluster, on_run=on_run)
    report = write_report(results_of(study, planned, store), out)
    terminal.show(*(to_terminal(table) for table in report.tables.values()))
    terminal.say(*(f"wrote {file}" for file in report.files))
    return report


def _tuned(
    planned: Plan, tuning: Tuning, store: RunStore, workers: int, cluster: Cluster | None
) -> Plan:
    trials = tuning.trials and tuning.trials * len(planned.searches)
    with terminal.runs("tuning, at most", trials) as on_trial:
        tune(
            planned.searches,
            store,
            storage=tuning.storage,
            workers=workers,
            cluster=cluster,
            on_trial=on_trial,
        )
    return planned.tuned(store)


def script_parser(doc: str | None) -> argparse.ArgumentParser:
    """The command line of a script, told by the first line of its ``doc``.

    From here on a mistake of who calls the script ends it with one line, not with a traceback.
    """
    sys.excepthook = _one_line
    return argparse.ArgumentParser(description=(doc or "").partition("\n")[0])


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, FusionlabError | OSError):
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def asked_results(parser: argparse.ArgumentParser) -> tuple[Results, argparse.Namespace]:
    """The results of the study that the command line of a `script_parser` names as SOURCE, and all
    of its arguments.

    SOURCE is a study's file, which overrides may follow, or the folder of a report or of an export;
    ``--runs`` is where the records are and ``--out`` where figures go. Nothing is run.

    Raises:
        FusionlabError: as of `read_results`.
    """
    parser.add_argument("source", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("figures"))
    chosen, overrides = parser.parse_known_args()
    return read_results(chosen.source, chosen.runs, overrides), chosen
