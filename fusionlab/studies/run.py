"""Run one experiment: data, model, training, the final judgement, the record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import torch
from filelock import Timeout

from fusionlab.balancing.contract import trained_on
from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.data.memory import enough_memory
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.result import Evaluation
from fusionlab.seal import Openings, shut
from fusionlab.sections import Runtime
from fusionlab.studies.build import AnyTask, build_task
from fusionlab.studies.curves import with_curves
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.diverged import batch_kept
from fusionlab.studies.gains import gains_of_atoms
from fusionlab.studies.identity import id_of
from fusionlab.studies.idle import idle_balancer, waiting_balancer
from fusionlab.studies.inputs import missing_in_turn
from fusionlab.studies.memory import keep_pages, peak_mb, reset_peak
from fusionlab.studies.one_missing import one_missing
from fusionlab.studies.record import Cost, RunRecord, environment
from fusionlab.studies.store import RunStore
from fusionlab.studies.tied import tied_users
from fusionlab.studies.transfer import take_over
from fusionlab.studies.unused import unused_context, unused_modalities
from fusionlab.training.classification import ClassificationTask
from fusionlab.training.loop import Loop, OnEpoch, Progress, Stop
from fusionlab.training.memory import enough_for
from fusionlab.training.ranking import RankingTask


def run_experiment(
    experiment: Experiment,
    store: RunStore,
    *,
    patient: bool = True,
    on_epoch: OnEpoch | None = None,
    share: Path | None = None,
) -> RunRecord | None:
    """The record of an experiment: from the store if it ran before, else by running it.

    While another process works on the same run, this one waits, or, if not ``patient``, returns
    None. A run that was interrupted goes on from its checkpoint and ends with the same bits.
    ``share`` is a folder in which the processes of a study share prepared features. With a
    ``transfer`` the source is a run of its own, which is brought into the store first.
    """
    dataset = load_dataset(experiment, store.features)
    run = id_of(experiment, dataset)
    if run in store:
        return store.load(run)
    source = None
    if experiment.source is not None:
        source = run_experiment(
            experiment.source, store, patient=patient, on_epoch=on_epoch, share=share
        )
        if source is None:
            return None
    try:
        with store.lock(run).acquire(timeout=-1 if patient else 0):
            if run in store:
                return store.load(run)
            with store.unfinished(run):
                return _run(run, experiment, dataset, store, source, on_epoch, share)
    except Timeout:
        return None


def _run(
    run: str,
    experiment: Experiment,
    dataset: Dataset,
    store: RunStore,
    source: RunRecord | None,
    on_epoch: OnEpoch | None,
    share: Path | None,
) -> RunRecord:
    started = time.perf_counter()
    configure(experiment.runtime, experiment.seed)
    reset_peak(experiment.runtime.device)
    with enough_memory(f"the model: lower dim (now {experiment.dim}) or the fusion's options"):
        task = build_task(experiment, dataset, share, store.partial(run), fit=source is None)
    if source is not None:
        take_over(task.model, source, store)
    partial = store.partial(run)
    with batch_kept(task, dataset, partial):
        progress = train(experiment, task, partial / "checkpoint.pt", on_epoch)
    record, per_user = recorded(run, experiment, dataset, task, progress, started, source)
    return store.save(record, per_user, task.model.state_dict())


def recorded(
    run: str,
    experiment: Experiment,
    dataset: Dataset,
    task: AnyTask,
    progress: Progress,
    started: float,
    source: RunRecord | None = None,
) -> tuple[RunRecord, pl.DataFrame]:
    """Judge a trained task, and what there is to keep: the record, and a row a judged user."""
    ledger = Openings()
    judged = time.perf_counter()
    with enough_for(experiment.training), shut(ledger):
        evaluations = _judge(experiment, dataset, task, ledger)
    finished = time.perf_counter()
    record = RunRecord(
        id=run,
        config=experiment.model_dump(mode="json"),
        dataset=_describe(dataset, task.features),
        environment=environment(),
        metrics={split: result.means() for split, result in evaluations.items()},
        cost=Cost(
            parameters=sum(p.numel() for p in task.model.parameters() if p.requires_grad),
            epochs=progress.epochs,
            seconds=finished - started,
            seconds_per_epoch=progress.seconds_per_epoch,
            evaluation_seconds=finished - judged,
            peak_memory_mb=peak_mb(experiment.runtime.device),
        ),
        history=progress.history,
        coalition_training=_coalition_training(experiment, task, source),
        test_opened=ledger.entries,
        truth=gains_of_atoms(dataset, task, evaluations),
        source=_origin(source),
        warnings=[
            *unused_modalities(task),
            *unused_context(task),
            *tied_users(evaluations),
            *idle_balancer(task),
            *waiting_balancer(task, progress.best_epoch),
        ],
    )
    return record, _per_user(experiment, dataset, evaluations)


def _origin(source: RunRecord | None) -> dict[str, str]:
    if source is None:
        return {}
    return {"run": source.id} | {key: source.dataset[key] for key in ("name", "fingerprint")}


def _as_it_came(experiment: Experiment) -> bool:
    return experiment.transfer is not None and not experiment.transfer.tune


def _coalition_training(experiment: Experiment, task: AnyTask, source: RunRecord | None) -> str:
    """On what of coalitions the model was (last) trained, with the modalities where not on all;
    one modality has no subsets."""
    if source is not None and _as_it_came(experiment):
        return source.coalition_training
    names = () if task.features is None else task.features.modalities
    if len(names) < 2:
        return "none"
    missing = experiment.inputs.missing
    lost = [name for name in names if missing.modalities is None or name in missing.modalities]
    found = [
        "dropout" if experiment.training.modality_dropout else "",
        trained_on("missing items", lost, names) if missing.train else "",
        task.balancer.trains,
    ]
    found = [one for one in found if one]
    return ", ".join(dict.fromkeys(found)) or "none"


@shut()
def train(
    experiment: Experiment,
    task: AnyTask,
    checkpoint: Path | None,
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
) -> Progress:
    """Train a task, or go on from its checkpoint; no epochs where there is nothing to train."""
    if _as_it_came(experiment):
        return Progress()
    if isinstance(task, RankingTask):
        if not task.model.trainable:
            return Progress()
        task.prepare()
    loop = Loop(
        task,
        experiment.training,
        experiment.runtime,
        seed=experiment.seed,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        stop=stop,
    )
    return loop.run()


@torch.no_grad()
def _judge(
    experiment: Experiment, dataset: Dataset, task: AnyTask, ledger: Openings
) -> dict[str, Evaluation]:
    """Metrics on validation and test; the one place where a run opens test labels."""
    task.model.eval()
    known = dataset.labels if isinstance(task, ClassificationTask) else dataset.interactions
    assert known is not None
    splits: Any = {"valid": known.valid, "test": known.test.open(ledger, "final evaluation")}
    whole = found = task.judge(splits)
    if experiment.evaluation.one_missing:
        stored = dataset.features
        lost = {} if stored is None else missing_in_turn(experiment, stored)
        found = one_missing(task, splits, found, lost)
    return with_curves(experiment.evaluation.curves, task, splits, whole, found)


def configure(runtime: Runtime, seed: int) -> None:
    """Seed and set up this process as a run has it."""
    if runtime.device != "cpu" and not torch.cuda.is_available():
        raise FusionlabError(
            f"runtime.device: found {runtime.device!r}, but torch sees no GPU here; expected 'cpu'"
        )
    keep_pages()
    torch.set_num_threads(runtime.threads)
    # The same as `use_deterministic_algorithms`, which also imports the compiler to set it up.
    torch.set_deterministic_debug_mode("error" if runtime.device == "cpu" else "warn")
    # That also fills every new tensor with NaN, to show who reads what was never written: a fifth
    # of a step for nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def _describe(dataset: Dataset, features: ItemFeatures | None) -> dict[str, Any]:
    """The data, and the shapes of the features as the model saw them."""
    described: dict[str, Any] = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "items": len(dataset.item_ids),
    }
    if dataset.interactions is not None:
        clicks = dataset.interactions
        described |= {
            "users": clicks.n_users,
            "clicks": {"train": len(clicks.train), "valid": len(clicks.valid)},
        }
        if clicks.situations is not None:
            described["context"] = {
                name: len(values) for name, values in clicks.situations.values.items()
            }
    if dataset.pseudonyms is not None:
        described["user_key"] = dataset.pseudonyms.fingerprint
    if features is not None:
        described["features"] = {name: asdict(spec) for name, spec in features.specs.items()}
    return described


def _per_user(
    experiment: Experiment, dataset: Dataset, evaluations: Mapping[str, Evaluation]
) -> pl.DataFrame:
    """A row a judged user, null in the columns that do not judge them; in classification the items
    stand in the users' place."""
    ids = dataset.item_ids
    if experiment.task == "recommendation":
        assert dataset.interactions is not None
        ids = dataset.interactions.user_ids
    frames = []
    for split, result in evaluations.items():
        rows = result.units.numpy()
        columns: dict[str, Any] = {name: x.numpy() for name, x in result.per_unit.items()}
        columns |= {name: pl.Series(x.numpy()).fill_nan(None) for name, x in result.of_some.items()}
        frames.append(pl.DataFrame({"user": ids[rows], "split": [split] * len(rows), **columns}))
    return pl.concat(frames, how="diagonal")
