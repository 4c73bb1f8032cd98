"""Execute runs: in this process, in workers, each on threads of its own, or on a cluster."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fusionlab.config import Experiment, experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.processes import end_with_parent
from fusionlab.studies.cores import pin
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

if TYPE_CHECKING:
    from fusionlab.studies.ray_executor import Cluster

OnRun = Callable[[str], None]
Failures = dict[str, str]
Done = tuple[bool, str]
"""Was a job done (or is another process at it), and what went wrong."""


class Job(Protocol):
    """A piece of work that can be sent to another process; it is known by what it leaves in the
    store, so it may be asked for twice."""

    def do(self, store: RunStore, *, patient: bool, share: Path | None) -> bool:
        """Do it. False: another process is at it, and we are not ``patient``."""


@dataclass(frozen=True)
class RunJob:
    """One run of an experiment, as plain data."""

    experiment: dict[str, Any]

    def do(self, store: RunStore, *, patient: bool, share: Path | None) -> bool:
        """See `Job`."""
        experiment = experiment_from(self.experiment)
        return run_experiment(experiment, store, patient=patient, share=share) is not None


Submit = Callable[[Job, bool], Future[Done]]
"""Sends a job to another process; the flag: be ``patient``."""


def execute(
    runs: Mapping[str, Experiment],
    store: RunStore,
    *,
    workers: int = 1,
    cluster: Cluster | None = None,
    on_run: OnRun,
) -> None:
    """Bring every run into the store. Runs that are there already are not touched.

    They are done here by ``workers`` processes, or on a ``cluster`` by all that it has room for.

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
    chains = {
        run: iter([RunJob(experiment.model_dump(mode="json"))])
        for run, experiment in missing.items()
    }
    failures = work_off(
        chains,
        store,
        missing.values(),
        workers=workers,
        cluster=cluster,
        on_done=on_run,
    )
    if failures:
        listed = "\n".join(f"  {_name(runs[run])}: {why}" for run, why in failures.items())
        raise FusionlabError(f"{len(failures)} of {len(runs)} runs failed:\n{listed}")


def work_off(
    chains: Mapping[str, Iterator[Job]],
    store: RunStore,
    experiments: Collection[Experiment],
    *,
    workers: int,
    cluster: Cluster | None,
    on_done: Callable[[str], None],
) -> Failures:
    """Do the jobs of chains: within a chain in order, each drawn when the one before it is done;
    chains side by side where there are several workers, each kept on as many free cores as one of
    ``experiments`` needs, or a cluster.

    ``on_done`` is called with the chain's name for each job that was done. A job that fails ends
    its chain: what went wrong, by the chain's name, is returned.
    """
    store.remove_left_over()
    lines = {name: _Line(jobs) for name, jobs in chains.items()}
    failures: Failures = {}
    for name, line in lines.items():
        line.draw(name, failures)
    lines = {name: line for name, line in lines.items() if line.job is not None}
    if not lines:
        return failures
    if cluster is not None:
        from fusionlab.studies.ray_executor import on_ray

        with (
            store.sharing() as share,
            on_ray(cluster, experiments, store.root, share) as submit,
        ):
            _side_by_side(lines, submit, on_done, failures)
    elif workers == 1:
        _in_this_process(lines, store, on_done, failures)
    else:
        cores = cores_of_a_worker(experiments)
        with store.sharing() as share, _pool(workers, cores, store.root, share) as submit:
            _side_by_side(lines, submit, on_done, failures)
    return failures


@dataclass
class _Line:
    """A chain, and its job that is to be done next; None: it has ended."""

    jobs: Iterator[Job]
    job: Job | None = None

    def draw(self, name: str, failures: Failures) -> None:
        """Go on to the next job; a chain that cannot say what it is has failed."""
        try:
            self.job = next(self.jobs, None)
        except Exception as error:
            self.job, failures[name] = None, why(error)


def _name(experiment: Experiment) -> str:
    return f"{experiment.recommender.name}, {experiment.fusion.name}, seed {experiment.seed}"


def why(error: BaseException) -> str:
    """What went wrong; for what is no user error (a fault in a plug-in, say), also where."""
    if isinstance(error, FusionlabError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _in_this_process(
    lines: Mapping[str, _Line],
    store: RunStore,
    on_done: Callable[[str], None],
    failures: Failures,
) -> None:
    for patient in (False, True):  # first what no other process works on, then wait for the rest
        for name, line in lines.items():
            while line.job is not None:
                try:
                    if not line.job.do(store, patient=patient, share=None):
                        break
                    on_done(name)
                except Exception as error:  # one broken strategy must not take the others down
                    failures[name] = why(error)
                    line.job = None
                else:
                    line.draw(name, failures)


@contextmanager
def _pool(workers: int, cores: int, root: Path, share: Path) -> Iterator[Submit]:
    """Worker processes of this machine."""
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=(cores,))
    try:
        yield lambda job, patient: pool.submit(work, job, root, share, patient)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _side_by_side(
    lines: Mapping[str, _Line],
    submit: Submit,
    on_done: Callable[[str], None],
    failures: Failures,
) -> None:
    waiting: dict[Future[Done], str] = {}

    def send(name: str, *, patient: bool) -> None:
        job = lines[name].job
        if job is not None:
            waiting[submit(job, patient)] = name

    for name in lines:
        send(name, patient=False)
    while waiting:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            name = waiting.pop(future)
            done_by_us, problem = _outcome(future)
            if problem:
                failures[name] = problem
            elif done_by_us:
                on_done(name)
                lines[name].draw(name, failures)
                send(name, patient=False)
            else:
                send(name, patient=True)


def _outcome(future: Future[Done]) -> Done:
    """What became of a job; one whose worker was lost has failed."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):  # nobody is left to do the others
        raise FusionlabError(
            "a worker was killed, perhaps for want of memory; the same command goes on from here, "
            "with fewer --workers if need be"
        )
    if type(error).__module__.partition(".")[0] == "ray":
        from fusionlab.studies.ray_executor import lost

        return False, lost(error)
    return False, why(error)


def work(job: Job, root: Path, share: Path, patient: bool) -> Done:
    """In a worker: do the job."""
    try:
        return job.do(RunStore(root), patient=patient, share=share), ""
    except Exception as error:  # told to the parent in words: not every error can be sent
        return False, why(error)


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
