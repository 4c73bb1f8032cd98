"""Item features in which one modality tells nothing of its item any more. No mask is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures

Knockout = Callable[[ItemFeatures, str, torch.Generator], ItemFeatures | None]


def shuffled(
    features: ItemFeatures, modality: str, generator: torch.Generator
) -> ItemFeatures | None:
    """Whole rows of the modality, with what is missing, dealt to other items."""
    order = torch.randperm(len(features), generator=generator).to(features.mask[modality].device)
    x, mask = features.values[modality], features.mask[modality]
    return _with(features, modality, x[order], mask[order])


def noise(features: ItemFeatures, modality: str, generator: torch.Generator) -> ItemFeatures | None:
    """Normal noise of each column's mean and variance; None for what is no vectors."""
    x, mask = features.values[modality], features.mask[modality]
    moments = _moments(x, mask)
    if moments is None:
        return None
    mean, deviation = moments
    drawn = torch.randn(x.shape, generator=generator).to(x.device)
    return _with(features, modality, drawn.mul_(deviation).add_(mean).to(x.dtype), mask)


def constant(
    features: ItemFeatures, modality: str, generator: torch.Generator
) -> ItemFeatures | None:
    """The row of one random item for all items that have the modality; None where none has."""
    present = features.present(modality)
    rows = present.nonzero()[:, 0]
    if not len(rows):
        return None
    row = rows[int(torch.randint(len(rows), (1,), generator=generator))]
    x, mask = features.values[modality], features.mask[modality]
    return _with(features, modality, x[row].expand_as(x), mask[row] & present[:, None])


def mean(features: ItemFeatures, modality: str, generator: torch.Generator) -> ItemFeatures | None:
    """The mean token in place of every token; None for what is no vectors."""
    x, mask = features.values[modality], features.mask[modality]
    moments = _moments(x, mask)
    return moments and _with(features, modality, moments[0].to(x.dtype).expand_as(x), mask)


KNOCKOUTS: dict[str, Knockout] = {
    "shuffled": shuffled,
    "noise": noise,
    "constant": constant,
    "mean": mean,
}


def _moments(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation (d,) over the tokens that are on."""
    if not x.is_floating_point() or not mask.any():
        return None
    tokens = x[mask].float()
    return tokens.mean(0), tokens.std(0, correction=0)


def _with(features: ItemFeatures, modality: str, x: Tensor, mask: Tensor) -> ItemFeatures:
    return replace(
        features,
        values=features.values | {modality: x},
        mask=features.mask | {modality: mask},
    )
