"""Canonical correlation analysis of two or more modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.closed_form import RELATIVE_ZERO, ClosedForm, eigen, inverse_root
from fusionlab.fusion.contract import FUSIONS, FusedItems, one_view
from fusionlab.fusion.layers import pool_tokens
from fusionlab.spaces import Range, Spaces


@FUSIONS.register("cca")
class Cca(ClosedForm):
    """Keep what the modalities agree on: D directions of largest correlation, averaged.

    v_k = rho_k^power * mean over present m of <a_mk, x_m - mu_m>

    The a_k = (a_1k, ..., a_Mk) maximise rho_k, the mean over pairs m != j of a_mk^T C_mj a_jk,
    subject to sum_m a_mk^T B_m a_mk = M and to being orthogonal under B to those before. C is the
    covariance over the train items that have every modality,
    B_m = C_mm + ridge (tr C_mm / d_m) I. That is the MAXVAR form of multiset CCA, solved as the
    eigenproblem of B^-1/2 (C - blockdiag C) B^-1/2. With M = 2 and no ridge it is classical CCA:
    rho are the canonical correlations and the variates have variance one. With M = 1 there is
    nothing to agree with: v are the whitened principal components, rho = 1. Components with
    rho <= 0 (the modalities disagree) are left out. ``spectrum`` holds rho.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(n (sum_m T_m d_m + P^2) + P^3) to fit
        on n train items, P = sum_m d_m.

    Options:
        ridge: added to the variances, as a share of the modality's mean variance, so that few items
            of many features do not agree by chance
        power: how strongly a component counts by its correlation; 0 weighs all alike

    Source: Hotelling 1936; Kettenring 1971, Canonical analysis of several sets of variables
        (MAXVAR). Ridge: Vinod 1976. Power: Gong et al. 2014, A multi-view embedding space.
    """

    space: ClassVar[Spaces] = {
        "ridge": Range(low=1e-5, high=1.0, log=True),
        "power": Range(low=0.0, high=2.0),
    }

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        ridge: NonNegativeFloat = 1e-3,
        power: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__(specs, dim)
        self.ridge, self.power = ridge, power

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Average the canonical variates of the modalities that are present."""
        parts, present = self.mapped(items)
        return one_view(pool_tokens(parts, present), present)

    def solve(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Whiten each modality, then take the eigenvectors of what is left between them."""
        modalities = len(self.specs)
        whitening = torch.zeros_like(covariance)
        between = covariance.clone()
        for _, at in self.columns():
            whitening[at, at] = self._whitening(covariance[at, at])
            between[at, at] = 0
        if modalities == 1:
            found = (whitening != 0).any(0)
            return whitening[:, found], covariance.new_ones(int(found.sum()))
        values, vectors = eigen(whitening.T @ between @ whitening)
        rho = values / (modalities - 1)
        agree = rho > RELATIVE_ZERO
        rho, components = rho[agree], modalities**0.5 * whitening @ vectors[:, agree]
        return components * rho**self.power, rho

    def _whitening(self, covariance: Tensor) -> Tensor:
        """B_m^-1/2 up to a rotation: principal axes, each divided by its deviation."""
        extra = self.ridge * covariance.diagonal().mean()
        variances, axes = eigen(covariance)
        return axes * inverse_root(variances + extra)
