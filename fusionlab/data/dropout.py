"""Modality dropout: items lose modalities at random, never their last one."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures


def drop_modalities(
    items: ItemFeatures, rate: float | Tensor, generator: torch.Generator
) -> ItemFeatures:
    """Mask each modality of each item with chance ``rate``, but never an item's last one.

    ``rate`` is one number or one a modality (M,). Where the draw would take all that an item has,
    the modality with the largest draw stays. This is what makes coalitions meaningful: the model
    has seen every subset of the modalities.
    """
    names = items.modalities
    drop = drawn_off(torch.stack([items.present(name) for name in names], 1), rate, generator)
    return items.masked({name: drop[:, index] for index, name in enumerate(names)})


def drawn_off(on: Tensor, rate: float | Tensor, generator: torch.Generator) -> Tensor:
    """Which of those that are ``on`` (B, n) go, each with chance ``rate`` (one number, or n).

    Never the last of a row: where all would go, the one with the largest draw stays.
    """
    draw = torch.rand(on.shape, generator=generator, device=on.device)
    drop = draw < rate
    all_gone = (drop | ~on).all(1, keepdim=True)
    keep = draw.masked_fill(~on, -1).argmax(1, keepdim=True)
    return drop.scatter(1, keep, drop.gather(1, keep) & ~all_gone)
