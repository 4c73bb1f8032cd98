"""A dataset: the catalogue of items, what users clicked or which class an item has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Interactions
from fusionlab.data.media import Media
from fusionlab.data.privacy import Pseudonyms
from fusionlab.errors import FusionlabError, one_of
from fusionlab.registry import Registry
from fusionlab.seal import Sealed

if TYPE_CHECKING:
    from fusionlab.data.synthetic import Truth


@dataclass(frozen=True)
class Labelled:
    """Items of one split, ``items`` (n,) rows of the catalogue, and their ``classes`` (n,)."""

    items: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Labels:
    """Classes of items in three splits; the test split is sealed."""

    names: Sequence[str]
    train: Labelled
    valid: Labelled
    test: Sealed[Labelled]


@dataclass(frozen=True)
class Dataset:
    """Everything an experiment reads.

    ``features`` holds all N items of the catalogue (None where a dataset brings no features);
    ``fingerprint`` is a hash of the content: features, masks, clicks, labels and splits.
    ``notes`` counts what reading took out, such as ``duplicates_removed``; it is not content.
    ``media`` are columns of raw text, images and sounds, N entries each, that encoders read; they
    are opened only when something is encoded, and are in no fingerprint. ``prepared`` is what the
    trained encoder of a modality reads of each item; such a modality's features are row numbers.
    ``source`` is another catalogue, on which the model is trained that this one takes over: scales
    and axes of features are learned there.
    ``pseudonyms`` are what users are called where not by their own ids.
    """

    name: str
    item_ids: pl.Series
    features: ItemFeatures | None
    interactions: Interactions | None
    labels: Labels | None
    fingerprint: str
    truth: Truth | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    media: Mapping[str, Media] = field(default_factory=dict)
    prepared: Mapping[str, Sequence[dict[str, Tensor] | None]] = field(default_factory=dict)
    source: Dataset | None = None
    pseudonyms: Pseudonyms | None = None

    def known_as(self, user: str) -> str:
        """The id under which the dataset has, or would have, a user: ``user`` itself, or, where
        there are pseudonyms, that of it, unless ``user`` is one that the dataset has."""
        name = user if self.pseudonyms is None else self.pseudonyms.of(user)
        return user if user in self._users and name not in self._users else name

    @cached_property
    def _users(self) -> frozenset[str]:
        clicks = self.interactions
        return frozenset() if clicks is None else frozenset(map(str, clicks.user_ids))

    def with_modalities(self, modalities: Sequence[str]) -> Dataset:
        """The same dataset in a world that has only ``modalities``."""
        features = self.require_features("modalities")
        for name in modalities:
            if name not in features.values:
                raise FusionlabError(f"modalities: {one_of(name, features.values)}")
        dropped = [name for name in features.values if name not in modalities]
        return replace(self, features=features.without_columns(dropped))

    def with_shuffled_features(self, seed: int, modalities: Iterable[str] | None = None) -> Dataset:
        """The same dataset with whole feature rows dealt to other items: a control.

        ``modalities``: those whose rows are dealt, together; the others stay. Default: all.
        """
        features = self.require_features("shuffled features")
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
        dealt = features.take(order)
        if modalities is not None:
            for name in modalities:
                if name not in features.values:
                    raise FusionlabError(f"inputs.shuffled: {one_of(name, features.values)}")
            values = {name: dealt.values[name] for name in modalities}
            mask = {name: dealt.mask[name] for name in modalities}
            dealt = replace(
                features, values={**features.values, **values}, mask={**features.mask, **mask}
            )
        return replace(self, features=dealt)

    def of(self, users: Tensor, items: Tensor) -> Dataset:
        """What the dataset says of the ``users`` (u,) and ``items`` (i,), rows in order, alone; not
        their media, and no truth."""
        assert self.interactions is not None
        clicks = self.interactions
        return replace(
            self,
            item_ids=self.item_ids[items.numpy()],
            features=None if self.features is None else self.features.take(items),
            interactions=clicks.changed(
                clicks.user_ids[users.numpy()], lambda some: some.of(users, items)
            ),
            truth=None,
            media={},
        )

    def require_features(self, what: str) -> ItemFeatures:
        """The features, or an error that says what needs them."""
        if self.features is None:
            raise FusionlabError(
                f"dataset {self.name!r} has no features, but {what} needs them: add a feature file "
                "(see docs/your-data.md), or choose a recommender that reads only clicks"
            )
        return self.features


class DatasetFormat(ABC):
    """A published format or generator. Keyword-only arguments of ``__init__`` are its options."""

    @abstractmethod
    def load(self) -> Dataset:
        """Read, check and split; raise `FusionlabError` naming file, row, found and expected."""


DATASETS: Registry[DatasetFormat] = Registry("dataset", DatasetFormat, "fusionlab.data.formats")
