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
from torch import Tensor

from fusionlab.config import Experiment, Runtime
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Openings
from fusionlab.encoders.trained import trained_encoders
from fusionlab.errors import ConfigError, FusionlabError, one_of
from fusionlab.evaluation.metrics import FULL_METRICS, LIST_METRICS, check_names
from fusionlab.evaluation.result import Evaluation
from fusionlab.fusion.build import build_fusion, check_named_modalities
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import Context, Recommender
from fusionlab.registry import family
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.gains import gains_of_atoms
from fusionlab.studies.identity import run_id
from fusionlab.studies.inputs import prepare_features, readable
from fusionlab.studies.memory import keep_pages, peak_mb, reset_peak
from fusionlab.studies.record import Cost, RunRecord, environment
from fusionlab.studies.store import RunStore
from fusionlab.training.classification import ClassificationTask, Classifier
from fusionlab.training.loop import Loop, OnEpoch, Progress
from fusionlab.training.pools import check_pooled
from fusionlab.training.ranking import DEFAULT_METRICS, RankingTask

GRAPH_ITEMS = 512
"""CUDA graphs have fixed shapes: a step's distinct items are rounded up to a multiple of this."""

AnyTask = RankingTask | ClassificationTask


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
    ``share`` is a folder in which the processes of a study share prepared features.
    """
    dataset = load_dataset(experiment, store.features)
    run = run_id(experiment, dataset.fingerprint)
    try:
        with store.lock(run).acquire(timeout=-1 if patient else 0):
            if run in store:
                return store.load(run)
            return _run(run, experiment, dataset, store, on_epoch, share)
    except Timeout:
        return None


def _run(
    run: str,
    experiment: Experiment,
    dataset: Dataset,
    store: RunStore,
    on_epoch: OnEpoch | None,
    share: Path | None,
) -> RunRecord:
    started = time.perf_counter()
    configure(experiment.runtime, experiment.seed)
    reset_peak(experiment.runtime.device)
    task = build_task(experiment, dataset, share, store.partial(run))
    progress = _train(experiment, task, store.partial(run) / "checkpoint.pt", on_epoch)
    ledger = Openings()
    judged = time.perf_counter()
    evaluations = _judge(dataset, task, ledger)
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
        coalition_training="dropout" if experiment.training.modality_dropout else "none",
        test_opened=ledger.entries,
        truth=gains_of_atoms(dataset, task, evaluations),
    )
    return store.save(record, _per_user(experiment, dataset, evaluations))


def measured(experiment: Experiment) -> list[str]:
    """The metrics of single users (or items) that an experiment measures; higher is better."""
    if experiment.task == "classification":
        return ["accuracy"]
    names = experiment.evaluation.metrics or DEFAULT_METRICS
    listed = [name for name in names if name in LIST_METRICS]
    at = [f"{name}@{cutoff}" for name in listed for cutoff in experiment.evaluation.cutoffs]
    return at + [name for name in names if name in FULL_METRICS]


def check(experiment: Experiment, dataset: Dataset) -> None:
    """Refuse an experiment that the dataset cannot serve or that selects by nothing measured."""
    if experiment.task == "recommendation":
        names = experiment.evaluation.metrics or DEFAULT_METRICS
        check_names(names, experiment.evaluation.cutoffs)
    if experiment.selecting not in measured(experiment):
        problem = one_of(experiment.selecting, measured(experiment))
        raise ConfigError([(("evaluation", "select"), problem)])
    if reads_content(experiment) and dataset.features is not None:
        check_named_modalities(experiment.fusion, dataset.features.modalities)
    if experiment.inputs.modalities is not None:
        dataset = dataset.with_modalities(experiment.inputs.modalities)
    if experiment.recommender.name == "oracle" and dataset.truth is None:
        problem = "found 'oracle', which needs a known truth: dataset.name=synthetic"
        raise ConfigError([(("recommender", "name"), problem)])
    wanted = "labels" if experiment.task == "classification" else "interactions"
    if getattr(dataset, wanted) is None:
        problem = f"found {experiment.task!r}, but dataset {dataset.name!r} has no {wanted}"
        raise ConfigError([(("task",), problem)])
    if experiment.task == "recommendation" and experiment.training.pool is not None:
        check_pooled(family("recommender")[experiment.recommender.name])
    if reads_content(experiment):
        features = dataset.require_features(f"recommender {experiment.recommender.name!r}")
        features = readable(experiment, features)
        build_fusion(experiment.fusion, features.specs, experiment.dim)


def reads_content(experiment: Experiment) -> bool:
    """Does the experiment look at item features at all?"""
    cls: type[Recommender] = family("recommender")[experiment.recommender.name]
    return experiment.task == "classification" or cls.uses_content


def build_task(
    experiment: Experiment,
    dataset: Dataset,
    share: Path | None = None,
    scratch: Path | None = None,
) -> AnyTask:
    """The model of an experiment, ready to train, with everything but the test labels.

    ``share`` is a folder in which processes share prepared features, ``scratch`` one for large
    arrays of this run alone.
    """
    check(experiment, dataset)
    if experiment.inputs.modalities is not None:
        dataset = dataset.with_modalities(experiment.inputs.modalities)
    if shuffled := experiment.inputs.shuffled:
        some = None if isinstance(shuffled, bool) else shuffled
        dataset = dataset.with_shuffled_features(experiment.seed, some)
    if experiment.task == "classification":
        return _classification(experiment, dataset, share, scratch)
    return _ranking(experiment, dataset, share, scratch)


def _ranking(
    experiment: Experiment, dataset: Dataset, share: Path | None, scratch: Path | None
) -> RankingTask:
    assert dataset.interactions is not None
    runtime, clicks = experiment.runtime, dataset.interactions.train
    features, fusion = None, None
    if reads_content(experiment):
        seen = clicks.popularity.nonzero().flatten()
        features = prepare_features(experiment, dataset, seen, share, scratch)
        features = readable(experiment, features)
        fusion = _fusion(experiment, dataset, features, seen)
    context = Context(clicks, experiment.dim, experiment.seed, dataset.truth)
    model = experiment.recommender.build(context, fusion).to(runtime.device)
    return RankingTask(
        model,
        dataset.interactions,
        features,
        experiment.training,
        experiment.evaluation,
        experiment.selecting,
        runtime.device,
        round_items=GRAPH_ITEMS if runtime.cuda_graphs else 1,
    )


def _classification(
    experiment: Experiment, dataset: Dataset, share: Path | None, scratch: Path | None
) -> ClassificationTask:
    assert dataset.labels is not None
    labels = dataset.labels
    features = prepare_features(experiment, dataset, labels.train.items, share, scratch)
    features = readable(experiment, features)
    fusion = _fusion(experiment, dataset, features, labels.train.items)
    model = Classifier(fusion, len(labels.names)).to(experiment.runtime.device)
    return ClassificationTask(model, labels, features, experiment.training, experiment.selecting)


def _fusion(
    experiment: Experiment, dataset: Dataset, features: ItemFeatures, train_items: Tensor
) -> Fusion:
    encoders = trained_encoders(dataset, experiment.encodings)
    specs = encoders.specs(features) if encoders else features.specs
    fusion = build_fusion(experiment.fusion, specs, experiment.dim)
    items = features.take(train_items.to(experiment.runtime.device))
    if encoders is None:
        fusion.fit(items)
    else:
        encoders.attach(fusion)
        with torch.no_grad():
            fusion.fit(encoders.to(experiment.runtime.device)(items))
    if experiment.runtime.cuda_graphs:
        fusion.compile(mode="reduce-overhead")
    elif experiment.runtime.compile:
        fusion.compile()
    return fusion


def _train(
    experiment: Experiment, task: AnyTask, checkpoint: Any, on_epoch: OnEpoch | None
) -> Progress:
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
    )
    return loop.run()


@torch.no_grad()
def _judge(dataset: Dataset, task: AnyTask, ledger: Openings) -> dict[str, Evaluation]:
    """Metrics on validation and test; the one place where a run opens test labels."""
    task.model.eval()
    why = "final evaluation"
    if isinstance(task, ClassificationTask):
        assert dataset.labels is not None
        labels = dataset.labels
        return task.judge({"valid": labels.valid, "test": labels.test.open(ledger, why)})
    assert dataset.interactions is not None
    clicks = dataset.interactions
    return task.judge({"valid": clicks.valid, "test": clicks.test.open(ledger, why)})


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
    if features is not None:
        described["features"] = {name: asdict(spec) for name, spec in features.specs.items()}
    return described


def _per_user(
    experiment: Experiment, dataset: Dataset, evaluations: Mapping[str, Evaluation]
) -> pl.DataFrame:
    """A row a judged user; in classification the items stand in the users' place."""
    ids = dataset.item_ids
    if experiment.task == "recommendation":
        assert dataset.interactions is not None
        ids = dataset.interactions.user_ids
    frames = []
    for split, result in evaluations.items():
        rows = result.units.numpy()
        columns = {name: values.numpy() for name, values in result.per_unit.items()}
        frames.append(pl.DataFrame({"user": ids[rows], "split": [split] * len(rows), **columns}))
    return pl.concat(frames)
