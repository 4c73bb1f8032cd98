"""Jobs as tasks of a Ray cluster, whose machines share the store's file system.

What a job finds stands in the store, as anywhere: Ray sends the question and hears that it is
done. So a table does not depend on who did its runs. (Moritz et al. 2018, Ray.)
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fusionlab.clusters import connect
from fusionlab.config import Experiment
from fusionlab.errors import FusionlabError
from fusionlab.studies.executor import Done, Job, Submit, work
from fusionlab.studies.identity import own_source

RETRIES = 3
"""So often a job begins again whose worker or machine was lost; a run goes on from its
checkpoint."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what one run takes of it.

    Args:
        address: see `fusionlab.clusters.connect`.
        gpus_per_run: GPUs that a run has, or the share of one (0.25: four runs on a GPU); None:
            one for runs whose device is ``cuda``, else none. Cores: as many as a run has threads.
    """

    address: str
    gpus_per_run: float | None = None

    def needs(self, experiments: Collection[Experiment]) -> dict[str, float]:
        """What Ray keeps free for a run, the most that one of these needs.

        Raises:
            FusionlabError: a GPU is asked for that no run uses, or one by its number.
        """
        devices = {experiment.runtime.device for experiment in experiments} - {"cpu"}
        if devices - {"cuda"}:
            raise FusionlabError(
                f"runtime.device: found {min(devices - {'cuda'})!r}, expected 'cuda' beside --ray: "
                "Ray says which GPU a run has"
            )
        if self.gpus_per_run is not None and not devices:
            raise FusionlabError(
                f"--gpus-per-run: found {self.gpus_per_run:g} where every run's runtime.device is "
                "'cpu'; expected runs on 'cuda'"
            )
        gpus = (1.0 if self.gpus_per_run is None else self.gpus_per_run) if devices else 0.0
        threads = max(experiment.runtime.threads for experiment in experiments)
        return {"CPU": threads, "GPU": gpus}


@contextmanager
def on_ray(
    cluster: Cluster, experiments: Collection[Experiment], root: Path, share: Path
) -> Iterator[Submit]:
    """What sends a job to the cluster; at the end whatever still runs there is ended.

    Raises:
        FusionlabError: no cluster, or none of its machines has what a run needs.
    """
    needs = cluster.needs(experiments)
    ray = connect(cluster.address)
    _check_room(ray, needs)
    task = ray.remote(
        num_cpus=needs["CPU"],
        num_gpus=needs["GPU"],
        max_retries=RETRIES,
        retry_exceptions=False,
    )(_work_there)
    asked = (root, share, Path.cwd(), _software())
    sent: list[Future[Any]] = []

    def submit(job: Job, patient: bool) -> Future[Done]:
        future: Future[Done] = task.remote(job, patient, *asked).future()
        sent.append(future)
        return future

    try:
        yield submit
    finally:
        for future in sent:
            if not future.done():
                ray.cancel(future.object_ref, force=True)  # type: ignore[attr-defined]


def lost(error: BaseException) -> str:
    """Why a job has no end, in a line: its workers died, or it could not begin."""
    said = [line for line in str(error).splitlines() if line.strip()]
    what = f"{type(error).__name__}: {said[-1] if said else ''}"
    return (
        f"lost on the cluster after {RETRIES} retries at most, perhaps for want of memory "
        f"({what}); the same command goes on from here"
    )


def _software() -> tuple[str, str]:
    """What must be the same everywhere, or a run would stand under another id in the store."""
    return own_source(), torch.__version__


def _check_room(ray: Any, needs: dict[str, float]) -> None:
    """A task that no machine has room for would wait for ever."""
    machines = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    if not any(all(has.get(key, 0) >= n for key, n in needs.items()) for has in machines):
        found = "; ".join(
            f"{has.get('CPU', 0):g} cores and {has.get('GPU', 0):g} GPUs" for has in machines
        )
        raise FusionlabError(
            f"--ray: found machines of {found}, expected one with {needs['CPU']:g} cores and "
            f"{needs['GPU']:g} GPUs for a run"
        )


def _work_there(
    job: Job, patient: bool, root: Path, share: Path, folder: Path, software: tuple[str, str]
) -> Done:
    """In a Ray worker: do the job as a process of this machine would."""
    try:
        _settle(root, share, folder, software)
    except FusionlabError as error:
        return False, f"on {platform.node()}: {error}"
    return work(job, root, share, patient)


def _settle(root: Path, share: Path, folder: Path, software: tuple[str, str]) -> None:
    """Relative paths mean what they mean to who asked, and store and software are his."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise FusionlabError(
            f"{folder}: {error.strerror}; a study on Ray needs its folder, its data and --runs "
            "under the same paths on every machine"
        ) from None
    if not share.with_suffix(".lock").is_file():  # held by who asked
        raise FusionlabError(
            f"{root}: found another store than that of who asked, expected --runs on a file system "
            "that all machines share"
        )
    if _software() != software:
        raise FusionlabError(
            f"found another fusionlab or torch (here {torch.__version__}, there {software[1]}), "
            "expected the same on every machine"
        )
