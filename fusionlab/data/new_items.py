"""Items that a catalogue does not have yet: media or vectors, as it has those of its own."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.dataset import Dataset
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.data.fingerprint import fingerprint, text_content
from fusionlab.data.media import Medium, Raw
from fusionlab.errors import FusionlabError, one_of


@dataclass(frozen=True)
class NewItem:
    """An item that is not in the catalogue.

    ``media`` by column of raw media, as the dataset has them; ``vectors`` by modality, as its
    encoder (or the dataset's feature file) would give them: (d,), or (t, d) with t up to T tokens.
    What is not given the item lacks.
    """

    id: str
    media: Mapping[str, Raw] = field(default_factory=dict)
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    def at(self, column: str) -> str:
        """What messages call one of its columns."""
        return f"item {self.id!r}, {column}"


def read_items(
    file: Path, dataset: Dataset, id_column: str = "item", encoded: Collection[str] = ()
) -> list[NewItem]:
    """New items of a file of JSON lines, one object an item.

    ``id_column`` is the id. Any other key is a column of raw media, with a text or the path of a
    file from this file's folder on, or a modality (of the dataset, or one that is ``encoded``),
    with a list of numbers (one vector) or of lists (a vector a token). null is as good as nothing.

    Raises:
        FusionlabError: no such file, no item in it, a line that is no object, an unknown key, an
            id that stands twice or is in the catalogue, or a value of another kind.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise FusionlabError(f"{file}: cannot be read as JSON lines ({error})") from None
    own = () if dataset.features is None else dataset.features.modalities
    modalities = {*own, *encoded}
    known, found = set(dataset.item_ids), dict[str, NewItem]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        item = _read_line(where, line, id_column, dataset, modalities, file.parent)
        if item.id in known or item.id in found:
            place = "in the catalogue" if item.id in known else "on an earlier line"
            raise FusionlabError(
                f"{where}: found item {item.id!r}, which is {place}; expected ids of new items"
            )
        found[item.id] = item
    if not found:
        raise FusionlabError(f"{file}: found no item, expected one a line")
    return [*found.values()]


def _read_line(
    where: str,
    line: str,
    id_column: str,
    dataset: Dataset,
    modalities: Collection[str],
    folder: Path,
) -> NewItem:
    expected = f"an object with an id under {id_column!r}"
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FusionlabError(f"{where}: not JSON ({error}), expected {expected}") from None
    if not isinstance(entry, dict) or not isinstance(entry.get(id_column), str | int):
        raise FusionlabError(f"{where}: found {_short(entry)}, expected {expected}")
    media: dict[str, Raw] = {}
    vectors: dict[str, Tensor] = {}
    for key, value in entry.items():
        at = f"{where}: {key}"
        if key == id_column or value is None:
            continue
        if key not in dataset.media and key not in modalities:
            raise FusionlabError(f"{at}: {one_of(key, {id_column, *dataset.media, *modalities})}")
        if isinstance(value, str) and key in dataset.media:
            if value.strip():
                text = dataset.media[key].medium is Medium.TEXT
                media[key] = value if text else folder / value
        elif isinstance(value, list) and key in modalities:
            vectors[key] = _numbers(at, value)
        else:
            expected = "text or a path" if key in dataset.media else "a list of numbers"
            raise FusionlabError(f"{at}: found {_short(value)}, expected {expected}")
    return NewItem(str(entry[id_column]), media, vectors)


def row_of_vectors(where: str, x: Tensor, spec: FeatureSpec) -> tuple[Tensor, Tensor]:
    """Values (T, d) and mask (T,) of given vectors (d,) or (t, d); FusionlabError: others."""
    x = x[None] if x.ndim == 1 else x
    if spec.vocabulary:
        raise FusionlabError(f"{where}: found numbers, expected the text: it is read as tokens")
    if x.ndim != 2 or x.shape[1] != spec.dim or not 1 <= len(x) <= spec.tokens:
        up_to = f"up to {spec.tokens} vectors" if spec.tokens > 1 else "one vector"
        raise FusionlabError(
            f"{where}: found shape {tuple(x.shape)}, expected {up_to} of {spec.dim} numbers"
        )
    if not x.isfinite().all():
        raise FusionlabError(f"{where}: found NaN or infinity, expected finite numbers")
    more = spec.tokens - len(x)
    return F.pad(x, (0, 0, 0, more)), torch.arange(spec.tokens) < len(x)


def with_items(dataset: Dataset, items: Sequence[NewItem]) -> Dataset:
    """The dataset with ``items`` as the last of its catalogue, which nobody has clicked.

    Vectors of modalities that are still to be encoded are left to `with_vectors`. What is known of
    the catalogue's own items is not known of these, so there is no truth.
    """
    clicks = dataset.interactions
    if clicks is None:
        raise FusionlabError(
            f"more_items: found dataset {dataset.name!r}, which has classes; expected one with "
            "clicks, or no more items"
        )
    ids = pl.concat([dataset.item_ids.cast(pl.String), pl.Series([one.id for one in items])])
    more = None if dataset.features is None else _features(dataset.features.specs, items)
    content = [dataset.fingerprint, "items", *text_content(ids.tail(len(items))), more]
    return replace(
        dataset,
        item_ids=ids,
        features=None if more is None else joined(dataset.require_features("new items"), more),
        interactions=clicks.changed(
            clicks.user_ids, lambda some: some.among(clicks.n_users, len(ids))
        ),
        truth=None,
        media={
            name: replace(of, entries=[*of.entries, *(one.media.get(name) for one in items)])
            for name, of in dataset.media.items()
        },
        fingerprint=fingerprint(content),
    )


def with_vectors(dataset: Dataset, items: Sequence[NewItem], encoded: Collection[str]) -> Dataset:
    """The dataset, whose last items are ``items``, with the vectors that are given of modalities
    which are ``encoded`` by now."""
    given = [name for name in encoded if any(name in one.vectors for one in items)]
    if not given:
        return dataset
    features = dataset.require_features("new items")
    values, mask = dict(features.values), dict(features.mask)
    for name in given:
        if name in dataset.prepared:
            raise FusionlabError(f"{name}: found vectors, expected media: its encoder is trained")
        values[name], mask[name] = values[name].clone(), mask[name].clone()
        spec, first = features.specs[name], len(features) - len(items)
        for row, one in enumerate(items, first):
            if name in one.vectors:
                x, on = row_of_vectors(one.at(name), one.vectors[name], spec)
                values[name][row], mask[name][row] = x.to(values[name].dtype), on
    found = replace(features, values=values, mask=mask)
    rows = found.part(len(found) - len(items), len(found)).without_columns(
        [name for name in found.modalities if name not in given]
    )
    known = fingerprint([dataset.fingerprint, "vectors", rows])
    return replace(dataset, features=found, fingerprint=known)


def _features(specs: Mapping[str, FeatureSpec], items: Sequence[NewItem]) -> ItemFeatures:
    """Features of ``items`` as they are given; masked where they are not."""
    values, mask = {}, {}
    for name, spec in specs.items():
        values[name] = torch.zeros(len(items), spec.tokens, spec.dim)
        mask[name] = torch.zeros(len(items), spec.tokens, dtype=torch.bool)
        for row, one in enumerate(items):
            if name in one.vectors:
                x = one.vectors[name]
                values[name][row], mask[name][row] = row_of_vectors(one.at(name), x, spec)
    return ItemFeatures(values, mask)


def joined(known: ItemFeatures, more: ItemFeatures) -> ItemFeatures:
    """The features of some items and then those of others, which have the same modalities."""
    values = {
        name: torch.cat([x, more.values[name].to(x.dtype)]) for name, x in known.values.items()
    }
    mask = {name: torch.cat([on, more.mask[name]]) for name, on in known.mask.items()}
    return replace(known, values=values, mask=mask)


def _numbers(where: str, value: list[Any]) -> Tensor:
    try:
        return torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise FusionlabError(
            f"{where}: found {_short(value)}, expected numbers, or lists of equally many numbers"
        ) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
