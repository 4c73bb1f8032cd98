"""Encoders that are trained with the recommender, behind the same `ItemFeatures`.

A modality whose encoder is trained has no stored features: its column holds the number of each
item's row, (N, 1, 1) int64, and goes through gathering, masking and shuffling like any other. Just
before the fusion `TrainedEncoders` turns those numbers into features, of the items of the step, by
encoding what was prepared of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import OfModalities
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.encoders.built import built
from fusionlab.encoders.contract import Encoder, Sample, collated

Samples = Sequence[Sample | None]
Change = Callable[[Sample], Sample]


class TrainedEncoders(nn.Module):
    """Fills in the features of modalities whose encoders are trained.

    Args:
        encoders: by modality.
        samples: the prepared content of all N items, by modality; None where an item has none.
        batch_sizes: items that are encoded at once, by modality.
        learning_rates: by modality; None: the recommender's.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        samples: Mapping[str, Samples],
        batch_sizes: Mapping[str, int],
        learning_rates: Mapping[str, float | None],
    ) -> None:
        super().__init__()
        self.encoders = OfModalities(encoders)
        self.samples, self.batch_sizes = Prepared(samples), dict(batch_sizes)
        self.learning_rates = dict(learning_rates)

    def specs(self, features: ItemFeatures) -> dict[str, FeatureSpec]:
        """The shape of each modality as the fusion gets it."""
        return features.specs | {name: self.encoders[name].spec for name in self.samples}

    def forward(self, items: ItemFeatures) -> ItemFeatures:
        """Features (B, T, d) in place of row numbers (B, 1, 1); masked items are not encoded."""
        for name in self.samples:
            if name in items.values and not items.values[name].is_floating_point():
                items = self.encoded(items, name)
        return items

    def encoded(self, items: ItemFeatures, name: str, change: Change | None = None) -> ItemFeatures:
        """One modality's features in place of row numbers; ``change`` is done to each sample."""
        rows, on = items.values[name][:, 0, 0], items.present(name)
        values, mask = self._encoded(name, rows, on, change)
        return replace(items, values=items.values | {name: values}, mask=items.mask | {name: mask})

    def attach(self, fusion: nn.Module) -> None:
        """Make these encoders the first thing ``fusion`` does, and part of its state."""
        fusion.add_module("trained_encoders", self)
        fusion.register_forward_pre_hook(_encode_first)

    def own_rates(self) -> Iterator[tuple[Iterable[nn.Parameter], float]]:
        """The parameters of encoders that have a learning rate of their own, and the rate."""
        for name, rate in self.learning_rates.items():
            if rate is not None:
                yield self.encoders[name].parameters(), rate

    def _encoded(
        self, name: str, rows: Tensor, on: Tensor, change: Change | None
    ) -> tuple[Tensor, Tensor]:
        """Of the items ``rows`` (B,) those that are ``on`` (B,), like sizes together."""
        encoder, device = self.encoders[name], rows.device
        places = on.nonzero().flatten().tolist()
        samples = [cast(Sample, self.samples[name][row]) for row in rows[on].tolist()]
        if change is not None:
            samples = [change(sample) for sample in samples]
        order = sorted(range(len(samples)), key=lambda k: encoder.size(samples[k]), reverse=True)
        shape = (len(rows), encoder.spec.tokens)
        values = torch.zeros(*shape, encoder.spec.dim, device=device)
        mask = torch.zeros(shape, dtype=torch.bool, device=device)
        step = self.batch_sizes[name]
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            batch = collated(encoder, [samples[k] for k in chosen])
            found, there = encoder({key: x.to(device) for key, x in batch.items()})
            at = torch.tensor([places[k] for k in chosen], device=device)
            tokens = there.shape[1]
            values = values.index_put(
                (at[:, None], torch.arange(tokens, device=device)),
                torch.where(there[..., None], found, 0).to(values.dtype),
            )
            mask[at, :tokens] = there
        return values, mask


class Prepared(dict[str, Samples]):
    """The prepared content of all items, by modality; copies of a model share it."""

    def __deepcopy__(self, memo: object) -> Prepared:
        return self


def _encode_first(fusion: nn.Module, arguments: tuple[ItemFeatures]) -> tuple[ItemFeatures]:
    """Not bound to one strategy: a copy's encoders are its own."""
    return (cast(TrainedEncoders, fusion.trained_encoders)(*arguments),)


def rows_of(samples: Samples) -> tuple[Tensor, Tensor]:
    """The column of a trained modality: row numbers (N, 1, 1), and which items have it (N, 1)."""
    numbers = torch.arange(len(samples))[:, None, None]
    return numbers, torch.tensor([sample is not None for sample in samples])[:, None]


def trained_encoders(dataset: Dataset, encodings: Mapping[str, Any]) -> TrainedEncoders | None:
    """Freshly initialised encoders for the trained modalities that ``dataset`` has; None: none."""
    features = dataset.require_features("a trained encoder")
    chosen = {
        name: encoding
        for name, encoding in encodings.items()
        if encoding.trained and name in features.values
    }
    if not chosen:
        return None
    return TrainedEncoders(
        {name: built(name, encoding) for name, encoding in chosen.items()},
        {name: dataset.prepared[name] for name in chosen},
        {name: encoding.batch_size for name, encoding in chosen.items()},
        {name: encoding.learning_rate for name, encoding in chosen.items()},
    )
