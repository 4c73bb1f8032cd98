"""The dataset of an experiment, its raw media encoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.new_items import NewItem, read_items, with_items, with_vectors
from fusionlab.encoders.encode import Machine, OnItems, encoded_dataset
from fusionlab.encoders.store import FeatureStore

_datasets: dict[str, Dataset] = {}


def load_dataset(
    experiment: Experiment,
    features: FeatureStore | None = None,
    machine: Machine | None = None,
    on_items: OnItems | None = None,
) -> Dataset:
    """Read a dataset, its raw media encoded as the experiment says.

    The latest two stay in memory for the next runs of this process. ``features`` is where encoded
    columns are kept; only an experiment without encoders can do without. With a ``transfer`` the
    source's dataset comes with it.
    """
    dataset = _loaded(experiment, features, machine, on_items)
    source = experiment.source
    if source is None:
        return dataset
    return replace(dataset, source=_loaded(source, features, machine, on_items))


def _loaded(
    experiment: Experiment,
    features: FeatureStore | None,
    machine: Machine | None,
    on_items: OnItems | None,
) -> Dataset:
    key = experiment.model_dump_json(include={"dataset", "encoders", "more_items"})
    if key not in _datasets:
        while len(_datasets) > 1:
            _datasets.pop(next(iter(_datasets)))
        dataset, more = read_dataset(experiment)
        if experiment.encodings:
            assert features is not None
            dataset = encoded_dataset(dataset, experiment.encodings, features, machine, on_items)
        _datasets[key] = with_vectors(dataset, more, [*experiment.encodings])
    return _datasets[key]


def read_dataset(experiment: Experiment) -> tuple[Dataset, list[NewItem]]:
    """The dataset of an experiment before anything is encoded, and those of its items that come
    from the file ``more_items``."""
    dataset = experiment.dataset.build().load()
    if experiment.more_items is None:
        return dataset, []
    more = items_in(Path(experiment.more_items), experiment, dataset)
    return with_items(dataset, more), more


def items_in(file: Path, experiment: Experiment, dataset: Dataset) -> list[NewItem]:
    """The items of a file that come beside those of an experiment's dataset (`read_items`)."""
    id_column = str(getattr(experiment.dataset, "item_column", "item"))
    return read_items(file, dataset, id_column, [*experiment.encodings])
