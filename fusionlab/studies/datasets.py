"""The dataset of an experiment, its raw media encoded."""

from __future__ import annotations

from dataclasses import replace

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
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
    key = experiment.model_dump_json(include={"dataset", "encoders"})
    if key not in _datasets:
        while len(_datasets) > 1:
            _datasets.pop(next(iter(_datasets)))
        dataset = experiment.dataset.build().load()
        if experiment.encodings:
            assert features is not None
            dataset = encoded_dataset(dataset, experiment.encodings, features, machine, on_items)
        _datasets[key] = dataset
    return _datasets[key]
