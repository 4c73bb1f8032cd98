"""Execute runs: in this process, or in several worker processes, each on threads of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from fusionlab.config import Experiment, experiment_from
from fusionlab.errors import FusionlabError
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
    missing = {}
    for run, experiment in runs.items():
        if run in store:
            on_run(run)
        else:
            missing[run] = experiment
    if not missing:
        return
    execute_missing = _in_this_process if workers == 1 else _in_workers
    failures = execute_missing(missing, store, workers, on_run)
    if failures:
        listed = "\n".join(f"  {run[:12]}: {why}" for run, why in failures.items())
        raise FusionlabError(f"{len(failures)} of {len(runs)} runs failed:\n{listed}")


def _in_this_process(
    runs: Mapping[str, Experiment], store: RunStore, workers: int, on_run: OnRun
) -> Failures:
    failures: Failures = {}
    busy = dict(runs)
    for patient in (False, True):  # first what no other process works on, then wait for the rest
        for run, experiment in list(busy.items()):
            try:
                if run_experiment(experiment, store, patient=patient) is None:
                    continue
                on_run(run)
            except FusionlabError as error:
                failures[run] = str(error)
            del busy[run]
    return failures


def _in_workers(
    runs: Mapping[str, Experiment], store: RunStore, workers: int, on_run: OnRun
) -> Failures:
    failures: Failures = {}
    spawn = multiprocessing.get_context("spawn")
    threads = max(experiment.runtime.threads for experiment in runs.values())
    pool = ProcessPoolExecutor(
        workers, spawn, initializer=_start_worker, initargs=(spawn.Value("i", 0), threads)
    )
    data = {run: experiment.model_dump(mode="json") for run, experiment in runs.items()}

    def submit(run: str, *, patient: bool) -> Future[bool]:
        return pool.submit(_work, data[run], store.root, patient)

    try:
        waiting = {submit(run, patient=False): run for run in runs}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                run = waiting.pop(future)
                error = future.exception()
                if isinstance(error, FusionlabError):
                    failures[run] = str(error)
                elif error is not None:
                    raise error
                elif future.result():
                    on_run(run)
                else:
                    waiting[submit(run, patient=True)] = run
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failures


def _work(data: dict[str, Any], root: Path, patient: bool) -> bool:
    """In a worker: do the run. False if another process is doing it."""
    return run_experiment(experiment_from(data), RunStore(root), patient=patient) is not None


def _start_worker(counter: Any, threads: int) -> None:
    """Pin this worker to cores of its own, and end it when its parent is gone (killed, even)."""
    with counter.get_lock():
        index = counter.value
        counter.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own = {cores[(index * threads + k) % len(cores)] for k in range(threads)}
        os.sched_setaffinity(0, own)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow(sentinel: int = parent.sentinel) -> None:
        wait_for([sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
