"""Execute runs: in this process, or in several worker processes, each on threads of its own."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from fusionlab.config import Experiment, experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.processes import end_with_parent
from fusionlab.studies.cores import pin
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

OnRun = Callable[[str], None]
Failures = dict[str, str]


def execute(
    runs: Mapping[str, Experiment], store: RunStore, *, workers: int = 1, on_run: OnRun
) -> None:
    """Bring every run into the store. Runs that are there already are not touched.

    Several processes may work on one store at once: a run is done by whoever locks it first, and
    the others go on with what is free. ``on_run`` is called with the id of each run that is done.
    Raises one `FusionlabError` at the end that names every run that failed.
    """
    store.remove_left_over()
    missing = {}
    for run, experiment in runs.items():
        if run in store:
            on_run(run)
        else:
            missing[run] = experiment
    if not missing:
        return
    if workers == 1:
        failures = _in_this_process(missing, store, on_run)
    else:
        with store.sharing() as share:
            failures = _in_workers(missing, store, workers, share, on_run)
    if failures:
        listed = "\n".join(f"  {_name(runs[run])}: {why}" for run, why in failures.items())
        raise FusionlabError(f"{len(failures)} of {len(runs)} runs failed:\n{listed}")


def _name(experiment: Experiment) -> str:
    return f"{experiment.recommender.name}, {experiment.fusion.name}, seed {experiment.seed}"


def _why(error: BaseException) -> str:
    """What went wrong; for what is no user error (a fault in a plug-in, say), also where."""
    if isinstance(error, FusionlabError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _in_this_process(runs: Mapping[str, Experiment], store: RunStore, on_run: OnRun) -> Failures:
    failures: Failures = {}
    busy = dict(runs)
    for patient in (False, True):  # first what no other process works on, then wait for the rest
        for run, experiment in list(busy.items()):
            try:
                if run_experiment(experiment, store, patient=patient) is None:
                    continue
                on_run(run)
            except Exception as error:  # one broken strategy must not take the others down
                failures[run] = _why(error)
            del busy[run]
    return failures


def _in_workers(
    runs: Mapping[str, Experiment], store: RunStore, workers: int, share: Path, on_run: OnRun
) -> Failures:
    failures: Failures = {}
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, spawn, initializer=_start_worker, initargs=(cores_of_a_worker(runs.values()),)
    )
    data = {run: experiment.model_dump(mode="json") for run, experiment in runs.items()}

    def submit(run: str, *, patient: bool) -> Future[tuple[bool, str]]:
        return pool.submit(_work, data[run], store.root, share, patient)

    try:
        waiting = {submit(run, patient=False): run for run in runs}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                run = waiting.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    raise FusionlabError(
                        "a worker was killed, perhaps for want of memory; the same command goes on "
                        "from here, with fewer --workers if need be"
                    )
                done_by_us, problem = future.result()
                if problem:
                    failures[run] = problem
                elif done_by_us:
                    on_run(run)
                else:
                    waiting[submit(run, patient=True)] = run
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failures


def _work(data: dict[str, Any], root: Path, share: Path, patient: bool) -> tuple[bool, str]:
    """In a worker: do the run. Was it done (or is another process at it), and what went wrong."""
    try:
        experiment, store = experiment_from(data), RunStore(root)
        record = run_experiment(experiment, store, patient=patient, share=share)
    except Exception as error:  # told to the parent in words: not every error can be sent
        return False, _why(error)
    return record is not None, ""


def cores_of_a_worker(experiments: Collection[Experiment]) -> int:
    """As many as a run has threads; none where a GPU computes, whose driver has threads too."""
    if any(experiment.runtime.device != "cpu" for experiment in experiments):
        return 0
    return max(experiment.runtime.threads for experiment in experiments)


def _start_worker(cores: int) -> None:
    """Keep this worker on free cores, if there are, and end it when its parent is gone."""
    end_with_parent()
    if cores:
        pin(cores)
