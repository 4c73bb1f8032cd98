"""Encode a dataset's raw media, as an experiment says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures, is_modality_name
from fusionlab.data.fingerprint import fingerprint
from fusionlab.encoders.built import built, encoder_identity
from fusionlab.encoders.contract import Encoder
from fusionlab.encoders.store import Encoded, FeatureStore
from fusionlab.encoders.trained import rows_of
from fusionlab.encoders.work import (
    ColumnWork,
    Machine,
    OnItems,
    prepared_entries,
)
from fusionlab.errors import ConfigError, one_of
from fusionlab.processes import check_not_importing
from fusionlab.registry import family
from fusionlab.sections import Encoding

__all__ = ["Machine", "OnItems", "encode", "encoded_dataset", "with_encoded"]


def encode(
    dataset: Dataset,
    encodings: Mapping[str, Encoding],
    store: FeatureStore,
    machine: Machine | None = None,
    on_items: OnItems | None = None,
) -> dict[str, Encoded]:
    """Every encoding of the dataset's media, from the store or, what is not there, by doing it.

    Raises `FusionlabError` where a column is unknown, is of another medium than its encoder, or the
    name of a modality cannot be used or is taken by the dataset's own features.
    """
    check_not_importing()
    machine, on_items = machine or Machine(), on_items or (lambda *_: None)
    for name, encoding in encodings.items():
        _check(name, encoding, dataset)
    found = {}
    for name, encoding in encodings.items():
        media, encoder = dataset.media[encoding.of], built(name, encoding).eval()
        work = ColumnWork(name, encoding, encoder, media, dataset, store, machine, on_items)
        found[name] = work.run()
    return found


def encoded_dataset(
    dataset: Dataset,
    encodings: Mapping[str, Encoding],
    store: FeatureStore,
    machine: Machine | None = None,
    on_items: OnItems | None = None,
) -> Dataset:
    """The dataset with every encoded modality beside its own features.

    Of a trained encoder the media are only prepared; the column holds row numbers
    (`fusionlab.encoders.trained`). Raises what `encode` raises.
    """
    frozen = {name: one for name, one in encodings.items() if not one.trained}
    encoded = with_encoded(dataset, encode(dataset, frozen, store, machine, on_items))
    features = encoded.features or ItemFeatures({}, {})
    known: list[str | Tensor] = [encoded.fingerprint]
    samples = {}
    for name, encoding in encodings.items():
        if encoding.trained:
            _check(name, encoding, dataset)
            encoder = built(name, encoding)
            if encoder.spec.vocabulary:
                problem = f"found true, expected false: {encoder.name!r} has nothing to train"
                raise ConfigError([(("encoders", name, "trained"), problem)])
            found = prepared_entries(dataset.media[encoding.of].entries, encoder, machine)
            samples[name] = found
            numbers, present = rows_of(found)
            features = replace(
                features,
                values=features.values | {name: numbers},
                mask=features.mask | {name: present},
            )
            identity = encoder_identity(encoding, encoder) | {"batch": encoding.batch_size}
            known += [name, json.dumps(identity, sort_keys=True), present]
            known += [content for sample in found if sample for content in sample.values()]
    return replace(encoded, features=features, prepared=samples, fingerprint=fingerprint(known))


def with_encoded(dataset: Dataset, encoded: Mapping[str, Encoded]) -> Dataset:
    """The dataset with finished columns beside its own features."""
    if not encoded:
        return dataset
    own = dataset.features
    values = dict(own.values) if own else {}
    mask = dict(own.mask) if own else {}
    vocabulary = dict(own.vocabulary) if own else {}
    for name, column in encoded.items():
        features = column.features(name)
        values |= features.values
        mask |= features.mask
        vocabulary |= features.vocabulary
    columns = {name: column.card["features"] for name, column in encoded.items()}
    known = fingerprint([dataset.fingerprint, json.dumps(columns)])
    return replace(dataset, features=ItemFeatures(values, mask, vocabulary), fingerprint=known)


def _check(name: str, encoding: Encoding, dataset: Dataset) -> None:
    """Refuse what cannot be encoded before anything is."""
    if not is_modality_name(name):
        problem = f"found the modality name {name!r}, which is reserved; expected another"
        raise ConfigError([(("encoders",), problem)])
    own = () if dataset.features is None else dataset.features.modalities
    if name in own:
        problem = f"found {name!r}, expected a name the dataset lacks: not {', '.join(own)}"
        raise ConfigError([(("encoders",), problem)])
    if encoding.of not in dataset.media:
        problem = one_of(encoding.of, dataset.media)
        raise ConfigError([(("encoders", name, "of"), f"columns of raw media: {problem}")])
    encoder: type[Encoder] = family("encoder")[encoding.encoder.name]
    medium = dataset.media[encoding.of].medium
    if encoder.medium is not medium:
        fit = sorted(of for of, one in dataset.media.items() if one.medium is encoder.medium)
        problem = (
            f"found {encoding.of!r}, which is {medium}; {encoder.name!r} reads {encoder.medium}, "
            f"expected one of: {', '.join(fit) or 'nothing'}"
        )
        raise ConfigError([(("encoders", name, "of"), problem)])
