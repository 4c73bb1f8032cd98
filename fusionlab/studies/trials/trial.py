"""Run one trial: train on train, judge on validation. Test labels stay sealed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import Timeout

from fusionlab.config import Experiment
from fusionlab.seal import shut
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.memory import peak_mb, reset_peak
from fusionlab.studies.run import configure, train
from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.optuna_study import propose, stopper
from fusionlab.studies.trials.records import Outcome, Trial
from fusionlab.studies.trials.search import Search
from fusionlab.training.diverged import DivergedError

History = list[dict[str, float]]


def run_trial(
    search: Search,
    number: int,
    store: RunStore,
    *,
    patient: bool = True,
    share: Path | None = None,
) -> Trial | None:
    """A trial of a search, whose predecessors are finished: from the store, else by running it.

    While another process works on it, this one waits, or, if not ``patient``, returns None. A trial
    that was interrupted goes on from its checkpoint, with the same values and the same end.
    """
    folder, name = search.folder(store), search.trial_id(number)
    try:
        with store.lock(name).acquire(timeout=-1 if patient else 0):
            if number in folder:
                return folder.load(number)
            folder.describe(search.to_json())
            with store.unfinished(name) as partial:
                trial = _run(search, folder.first(number), store, partial, share)
                folder.save(trial, partial)
            return trial
    except Timeout:
        return None


def _run(
    search: Search, earlier: Sequence[Trial], store: RunStore, partial: Path, share: Path | None
) -> Trial:
    started = time.perf_counter()
    label, changes = propose(search, earlier)
    written = next(one.experiment for one in search.variants if one.label == label)
    experiment = written.varied(changes)
    configure(experiment.runtime, experiment.seed)
    reset_peak(experiment.runtime.device)
    outcome, value, trained, history = _tried(search, earlier, experiment, store, partial, share)
    return Trial(
        number=len(earlier),
        variant=label,
        changes=changes,
        outcome=outcome,
        value=value,
        trained=trained,
        seconds=time.perf_counter() - started,
        peak_memory_mb=peak_mb(experiment.runtime.device),
        history=history,
    )


@shut()
def _tried(
    search: Search,
    earlier: Sequence[Trial],
    experiment: Experiment,
    store: RunStore,
    partial: Path,
    share: Path | None,
) -> tuple[Outcome, float | None, bool, History]:
    """How it ended, its best value on validation, whether there was anything to train, history."""
    task = build_task(experiment, load_dataset(experiment, store.features), share, partial)
    try:
        progress = train(
            experiment,
            task,
            partial / "checkpoint.pt",
            stop=stopper(search, earlier, experiment),
        )
    except DivergedError:
        return "diverged", None, True, []
    if progress.epochs:
        return "pruned" if progress.stopped else "complete", progress.best, True, progress.history
    task.model.eval()
    with torch.no_grad():
        return "complete", task.validate()[experiment.selecting], False, []
