"""Features as a model gets them: rescaled, reduced, in the type asked for, and prepared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.data.disk import whole, writing
from fusionlab.data.features import ItemFeatures
from fusionlab.data.reduction import principal_axes, reduce_features, rotated
from fusionlab.data.room import joined
from fusionlab.data.scaling import ROWS, Scale, rescale, rescaled, scales
from fusionlab.data.situations import Situations
from fusionlab.errors import ConfigError, one_of
from fusionlab.fusion.contract import Fusion
from fusionlab.registry import family
from fusionlab.studies.identity import inputs_id

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_latest: dict[str, ItemFeatures] = {}


def prepare_features(
    experiment: Experiment,
    dataset: Dataset,
    train_items: Tensor,
    share: Path | None = None,
    scratch: Path | None = None,
) -> ItemFeatures:
    """The features of ``dataset`` by the experiment's ``inputs`` and ``runtime``, on its device.

    The latest stay in this process for the next run that asks for the same. With a folder
    ``share`` they are written there once and memory-mapped by every process that works on the
    study: N workers hold one copy.

    Args:
        experiment: says which modalities, scaling, share of energy, type and device.
        dataset: in which modalities are already chosen and, for that control, rows dealt out.
        train_items: (n,) rows of the items that scales and axes may be learned from. Where the
            dataset has a source they are learned from that one's train items instead, and features
            are what they would be as new items of the source.
        share: where processes find one another's work; the caller deletes it.
        scratch: where large arrays are held on disk.
    """
    source = dataset.source
    learned_from = None if source is None else source.fingerprint
    key = inputs_id(experiment, dataset.fingerprint, learned_from)
    if key not in _latest:
        _latest.clear()
        file = None if share is None else share / f"{key}.pt"
        _latest[key] = _prepared(experiment, dataset, train_items, file, share or scratch)
    return _latest[key].to(experiment.runtime.device)


def prepare_more(
    experiment: Experiment, dataset: Dataset, train_items: Tensor, more: ItemFeatures
) -> ItemFeatures:
    """Features of items that are not in ``dataset``, as `prepare_features` has those that are.

    Scales and axes are learned anew from the same train items, so they are the same; ``more`` has
    no part in them. Values may be numbers where the dataset has row numbers: they stay.
    """
    stored = dataset.require_features("a model of content")
    source = dataset.source
    if source is not None:
        dataset, train_items = source, _train_items(source)
    known, axes = _learned(experiment, dataset, train_items)
    found = rotated(rescaled(more, known), axes)
    dtype = TYPES[experiment.runtime.features]
    values = {
        name: _held_in(x, dtype, None) if stored.values[name].is_floating_point() else x
        for name, x in found.values.items()
    }
    return replace(found, values=values).to(experiment.runtime.device)


def as_given(experiment: Experiment, dataset: Dataset) -> Dataset:
    """The dataset with the modalities that the experiment has, and rows dealt out if it says so;
    so also its source."""
    if dataset.source is not None:
        dataset = replace(dataset, source=as_given(experiment, dataset.source))
    if shuffled := experiment.inputs.shuffled:  # first: it may name what the row does without
        some = None if isinstance(shuffled, bool) else shuffled
        dataset = dataset.with_shuffled_features(experiment.seed, some)
    if experiment.inputs.modalities is not None:
        dataset = dataset.with_modalities(experiment.inputs.modalities)
    return dataset


def readable(experiment: Experiment, features: ItemFeatures) -> ItemFeatures:
    """The modalities that the experiment's strategy reads, of a dataset that serves several.

    Few read text as token ids, the others never see them. One that does reads a column of text
    once: vectors of a column whose ids are there are left to the others.

    Raises:
        ConfigError: there is none.
    """
    cls: type[Fusion] = family("fusion")[experiment.fusion.name]
    if not features.vocabulary:
        return features
    if cls.reads_tokens:
        column = {name: one.of for name, one in experiment.encodings.items()}
        read = {column[name] for name in features.vocabulary if name in column}
        twice = [n for n in features.values if column.get(n) in read]
        return features.without_columns([n for n in twice if n not in features.vocabulary])
    left = features.without_columns(features.vocabulary)
    if not left.values:
        names = ", ".join(features.vocabulary)
        raise ConfigError(
            [
                (
                    ("fusion", "name"),
                    f"found {experiment.fusion.name!r}, which cannot read token ids, and there is "
                    f"nothing else ({names}); expected a strategy that can, or an encoder of "
                    "vectors",
                )
            ]
        )
    return left


def told_situations(experiment: Experiment, dataset: Dataset) -> Situations | None:
    """The situations of the clicks, of which a model reads what ``inputs.context`` names."""
    names, clicks = experiment.inputs.context, dataset.interactions
    situations = None if clicks is None else clicks.situations
    columns = {} if situations is None else situations.values
    for name in names or ():
        if name not in columns:
            problem = one_of(name, columns) if columns else f"found {name!r}, expected nothing"
            raise ConfigError(
                [(("inputs", "context"), f"{problem}: dataset.context names what there is")]
            )
    return situations if situations is None or names is None else situations.reading(names)


def missing_in_turn(experiment: Experiment, features: ItemFeatures) -> dict[str, set[str]]:
    """The modalities of a dataset that may be missing, each with the names under which it stands.

    All of ``features`` count, be they read by this experiment or not. Token ids of a column that
    also stands as vectors are the same modality: it is named as the vectors are.
    """
    column = {name: one.of for name, one in experiment.encodings.items()}
    ids = {name: column.get(name, name) for name in features.vocabulary}
    vectors = [name for name in features.modalities if name not in ids]
    found = {
        name: {name, *(n for n, of in ids.items() if of == column.get(name, name))}
        for name in vectors
    }
    twice = set().union(*found.values())
    return {
        name: found.get(name, {name})
        for name in features.modalities
        if name in found or name not in twice
    }


def _prepared(
    experiment: Experiment,
    dataset: Dataset,
    train_items: Tensor,
    file: Path | None,
    scratch: Path | None,
) -> ItemFeatures:
    if file is None:
        return _computed(experiment, dataset, train_items, scratch)
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):  # the others wait instead of doing the same
        if not file.is_file():
            features = _computed(experiment, dataset, train_items, scratch)
            state = {part.name: getattr(features, part.name) for part in fields(features)}
            with writing(file), whole(file) as draft:
                torch.save(state, draft)
    return ItemFeatures(**torch.load(file, mmap=True, weights_only=True))


def _computed(
    experiment: Experiment, dataset: Dataset, train_items: Tensor, scratch: Path | None
) -> ItemFeatures:
    inputs = experiment.inputs
    stored = dataset.require_features("a model of content")
    if dataset.source is not None:
        known, axes = _learned(experiment, dataset.source, _train_items(dataset.source))
        features = rotated(rescaled(stored, known, scratch), axes, scratch)
    else:
        features = rescale(stored, train_items, inputs.scaling, scratch)
        if inputs.energy is not None:
            features = reduce_features(features, train_items, inputs.energy, scratch)
    dtype = TYPES[experiment.runtime.features]
    held = {name: _held_in(x, dtype, scratch) for name, x in features.values.items()}
    return replace(features, values=held)


def _learned(
    experiment: Experiment, dataset: Dataset, train_items: Tensor
) -> tuple[Mapping[str, Scale], Mapping[str, Tensor]]:
    """The scales, and the axes (none without `energy`), that ``train_items`` of a dataset show."""
    inputs = experiment.inputs
    stored = dataset.require_features("a model of content")
    known = scales(stored, train_items, inputs.scaling)
    if inputs.energy is None:
        return known, {}
    return known, principal_axes(rescaled(stored, known), train_items, inputs.energy)


def _train_items(dataset: Dataset) -> Tensor:
    """(n,) the items that users clicked in training."""
    assert dataset.interactions is not None
    return dataset.interactions.train.popularity.nonzero().flatten()


def _held_in(x: Tensor, dtype: torch.dtype, scratch: Path | None) -> Tensor:
    """Values (N, T, d) in another type, if they are no ids."""
    if x.dtype == dtype or not x.is_floating_point():
        return x
    return joined(x.split(ROWS), tuple(x.shape), dtype, scratch)
