"""A finished run's trained model, brought back."""

# Annotations are not deferred here: what reads the signature of a NamedTuple needs the types.
from dataclasses import replace
from typing import NamedTuple

from fusionlab.config import Experiment, experiment_from
from fusionlab.data.dataset import Dataset
from fusionlab.data.sealed import intact
from fusionlab.data.words import with_words
from fusionlab.errors import FusionlabError
from fusionlab.studies.build import AnyTask, build_task, over_clicks, take_state
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.record import RunRecord
from fusionlab.studies.run import configure
from fusionlab.studies.store import MODEL_FILE, RunStore, load_model
from fusionlab.training.ranking import RankingTask


class Trained(NamedTuple):
    """A finished run, the dataset it was trained on, and its task with the trained model in it."""

    record: RunRecord
    dataset: Dataset
    task: AnyTask


def load_trained(prefix: str, store: RunStore) -> Trained:
    """The run whose id begins with ``prefix``, its model as it was when training ended.

    The task is built anew from the record's configuration, plug-ins loaded and raw media encoded
    through the store; closed-form parts are not fitted again, they are part of the state. The
    process is seeded and set up as the run had it, and scores are those of the run, bit for bit.
    The model is in eval mode. Of an updated run the dataset holds the clicks that it was told.

    Raises:
        FusionlabError: no such run, a record without a model, a dataset that has changed since, or
            a state that the model does not take, or one that has changed by a byte since.
    """
    record = store.find(prefix)
    file = store.folder(record.id) / MODEL_FILE
    if not file.is_file():
        intact(file)
        raise FusionlabError(
            f"{file}: not found: the run was recorded before runs kept their models; delete the "
            "folder and run it again"
        )
    experiment = experiment_from(record.config)
    dataset = load_dataset(experiment, store.features)
    if dataset.fingerprint != record.dataset["fingerprint"]:
        raise FusionlabError(
            f"run {record.id[:12]}: found dataset {dataset.name!r} with fingerprint "
            f"{dataset.fingerprint[:12]}, expected {record.dataset['fingerprint'][:12]}: the data "
            "have changed since; bring them back, or run the experiment again"
        )
    origin = dataset.source
    if origin is not None and origin.fingerprint != record.source["fingerprint"]:
        raise FusionlabError(
            f"run {record.id[:12]}: found the source dataset {origin.name!r} with fingerprint "
            f"{origin.fingerprint[:12]}, expected {record.source['fingerprint'][:12]}: features "
            "are scaled by it; bring it back as it was, or run the experiment again"
        )
    configure(experiment.runtime, experiment.seed)
    dataset, task = _as_told(experiment, dataset, record)
    load_model(task.model, file, experiment.runtime.device)
    task.model.eval()
    return Trained(record, dataset, task)


def with_more_items(trained: Trained, more_items: str, store: RunStore) -> Trained:
    """The same model over a larger catalogue: that of the run with the items of the file
    ``more_items``, of which the run's own new items are the first. The record says so.

    Raises:
        FusionlabError: other items first, a model that has learned something of each item, or rows
            of features that would be dealt out anew.
    """
    experiment = experiment_from(trained.record.config).varied({"more_items": more_items})
    dataset, known = load_dataset(experiment, store.features), trained.dataset.item_ids
    if not dataset.item_ids.head(len(known)).equals(known):
        raise FusionlabError(
            f"{more_items}: found other items than the run has, expected its own first, in their "
            f"order ({known[-1]!r} is the last of them), and then those that are new"
        )
    if experiment.inputs.shuffled:
        raise FusionlabError(
            "inputs.shuffled: found new items, among which rows would be dealt out anew; retrain"
        )
    record = replace(trained.record, config=experiment.model_dump(mode="json"))
    dataset, task = _as_told(experiment, dataset, record)
    assert isinstance(task, RankingTask)
    take_state(task.model, trained.task.model.state_dict())
    task.model.eval()
    return Trained(record, dataset, task)


def _as_told(
    experiment: Experiment, dataset: Dataset, record: RunRecord
) -> tuple[Dataset, AnyTask]:
    """The dataset with what the run was told, and the task on it, its model not yet trained."""
    words = record.words()
    dataset = with_words(dataset, words.filter(words["step"] == 0)) if len(words) else dataset
    task = build_task(experiment, dataset, fit=False)
    for step in range(1, 1 + max(words["step"], default=0)):
        dataset = with_words(dataset, words.filter(words["step"] == step))
    if isinstance(task, RankingTask) and dataset.interactions is not task.interactions:
        task = over_clicks(experiment, task, dataset)
    return dataset, task
