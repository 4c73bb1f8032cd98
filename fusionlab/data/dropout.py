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
    present = torch.stack([items.present(name) for name in names], 1)
    draw = torch.rand(present.shape, generator=generator, device=present.device)
    drop = draw < rate
    all_gone = (drop | ~present).all(1, keepdim=True)
    keep = draw.masked_fill(~present, -1).argmax(1, keepdim=True)
    drop = drop.scatter(1, keep, drop.gather(1, keep) & ~all_gone)
    return items.masked({name: drop[:, index] for index, name in enumerate(names)})
