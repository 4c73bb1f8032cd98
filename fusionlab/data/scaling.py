"""Bring features to a common scale, so that no strategy wins by the units of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.room import joined

Scaling = Literal["none", "modality", "feature"]
ROWS = 256
"""Items held in float64 at a time."""


@dataclass(frozen=True, slots=True)
class Scale:
    """x' = (x - mean) * factor, of one modality: ``mean`` (d,), ``factor`` (d,) or one number, in
    float64."""

    mean: Tensor
    factor: Tensor


def scales(features: ItemFeatures, train_items: Tensor, by: Scaling) -> dict[str, Scale]:
    """What the tokens of ``train_items`` show of each modality of numbers; nothing for "none".

    The mean of each column, and one over sigma: the root mean variance of the modality's columns
    ("modality": the shape of the cloud is kept) or the deviation of each column ("feature"). A
    column that does not vary is only centred.
    """
    found = {}
    for name, x in features.values.items():
        # token ids, or row numbers of what is yet to be encoded, have no scale
        if by == "none" or not x.is_floating_point():
            continue
        mean, variance = moments(x, features.mask[name], train_items)
        if by == "modality":
            variance = variance.mean()
        found[name] = Scale(mean, torch.where(variance > 0, variance, 1).rsqrt())
    return found


def rescaled(
    features: ItemFeatures, known: Mapping[str, Scale], folder: Path | None = None
) -> ItemFeatures:
    """Features on scales that are known; masks stay as they are, so do modalities without a scale.

    Large results are held on disk, in ``folder``.
    """
    if not known:
        return features
    values = dict(features.values)
    for name, scale in known.items():
        x = features.values[name]
        parts = (rows.double().sub_(scale.mean).mul_(scale.factor) for rows in x.split(ROWS))
        values[name] = joined(parts, tuple(x.shape), torch.float32, folder)
    return replace(features, values=values)


def rescale(
    features: ItemFeatures, train_items: Tensor, by: Scaling, folder: Path | None = None
) -> ItemFeatures:
    """Centre and scale by what the tokens of ``train_items`` show (`scales`, `rescaled`)."""
    return rescaled(features, scales(features, train_items, by), folder)


def moments(x: Tensor, mask: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (d,) in float64 over the tokens of ``items`` that are on."""
    total, square = torch.zeros(2, x.shape[2], dtype=torch.float64, device=x.device)
    count = 0
    for rows in items.split(ROWS):
        tokens, on = x.index_select(0, rows), mask.index_select(0, rows)
        wide = (tokens.flatten(0, 1) if on.all() else tokens[on]).double()
        count += len(wide)
        total += wide.sum(0)
        square += wide.square_().sum(0)
    mean = total / max(count, 1)
    return mean, (square / max(count, 1) - mean.square()).clamp(min=0)
