"""Fewer columns with (nearly) the same content: features on the principal axes of train items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.room import joined

BLOCK = 8192


def reduce_features(
    features: ItemFeatures, train_items: Tensor, share: float, folder: Path | None = None
) -> ItemFeatures:
    """Rotate each modality to its principal axes and keep the first that hold ``share`` of it.

    x' = x V_r, with V the eigenvectors of S = sum x x^T / n over the tokens of ``train_items``, in
    falling order of the eigenvalues l, and r the smallest with sum_{i<=r} l_i >= share sum_i l_i.
    For centred features (``scaling`` other than "none") S is the covariance and the share one of
    variance. A rotation changes no distance, so what is lost is 1 - share of the energy and no
    more. Masks stay as they are; what stands behind a false one stays undefined. Large results are
    held in a file in ``folder`` (`joined`).

    Source: Pearson 1901; Jolliffe 2002, Principal Component Analysis.
    """
    return rotated(features, principal_axes(features, train_items, share), folder)


def principal_axes(features: ItemFeatures, train_items: Tensor, share: float) -> dict[str, Tensor]:
    """V_r (d, r) of each modality of numbers, as float32 columns."""
    return {
        name: _axes(x, features.mask[name], train_items, share)
        for name, x in features.values.items()
        if x.is_floating_point()  # else token ids, or row numbers of what is yet to be encoded
    }


def rotated(
    features: ItemFeatures, axes: Mapping[str, Tensor], folder: Path | None = None
) -> ItemFeatures:
    """Features on axes that are known; modalities without axes stay as they are."""
    values = dict(features.values)
    for name, kept in axes.items():
        x = features.values[name]
        parts = (rows.float() @ kept for rows in x.split(BLOCK))
        values[name] = joined(parts, (*x.shape[:2], kept.shape[1]), torch.float32, folder)
    return replace(features, values=values)


def _axes(x: Tensor, mask: Tensor, items: Tensor, share: float) -> Tensor:
    """The leading principal axes (d, r) as float32 columns, at least one."""
    energy = torch.zeros(x.shape[2], x.shape[2], dtype=torch.float64, device=x.device)
    for rows in items.split(BLOCK):
        tokens = x[rows][mask[rows]].double()
        energy += tokens.T @ tokens
    eigenvalues, vectors = torch.linalg.eigh(energy)
    held = eigenvalues.flip(0).clamp(min=0).cumsum(0)
    # Rounding must not ask for axes of no energy, so "all of it" is a whisker less than the sum.
    rank = int((held < share * (1 - 1e-12) * held[-1]).sum()) + 1
    return vectors.flip(1)[:, :rank].float()
