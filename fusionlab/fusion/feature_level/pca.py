"""Principal components of the concatenated modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.closed_form import RELATIVE_ZERO, ClosedForm, eigen, inverse_root
from fusionlab.fusion.contract import FUSIONS, FusedItems, one_view


@FUSIONS.register("pca")
class Pca(ClosedForm):
    """Concatenate the modalities and keep the D directions of largest variance.

    v = sum_m V_m^T S_m^-1 (x_m - mu_m)

    V = [V_1; ...; V_M] are the leading eigenvectors of S^-1 C S^-1, C the covariance of
    [x_1; ...; x_M] over the train items that have every modality, S_m the scale of modality m. An
    absent modality counts as its mean. Nothing is trained: unless whitened, <v_i, v_j> is the
    closest rank-D approximation of the products of the scaled, centred features, so a profile of
    clicked items ranks as it stands. ``spectrum`` holds the variances of the components.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(n (sum_m T_m d_m + P^2) + P^3) to fit
        on n train items, P = sum_m d_m.

    Options:
        scale: what is brought to a variance of one first: the "modality" as a whole, so that
            neither its width nor its unit decides; every "feature"; or "none"
        whiten: give all components the same variance (one)

    Source: Pearson 1901; one scale a modality as in Escofier and Pages 1994, Multiple factor
        analysis (theirs is the largest eigenvalue, here the total variance).
    """

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        scale: Literal["modality", "feature", "none"] = "modality",
        whiten: bool = False,
    ) -> None:
        super().__init__(specs, dim)
        self.scale, self.whiten = scale, whiten

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Add the modalities' parts of the components."""
        parts, present = self.mapped(items)
        return one_view(parts.sum(1), present)

    def solve(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvectors of the scaled covariance."""
        inverse = self._inverse_scales(covariance.diagonal())
        variances, vectors = eigen(inverse[:, None] * covariance * inverse)
        found = variances > RELATIVE_ZERO * variances.max()
        variances, components = variances[found], inverse[:, None] * vectors[:, found]
        return components * inverse_root(variances) if self.whiten else components, variances

    def _inverse_scales(self, variances: Tensor) -> Tensor:
        """The diagonal of S^-1 (P,); zero for what never varies."""
        if self.scale == "none":
            return torch.ones_like(variances)
        if self.scale == "modality":
            totals = [variances[at].sum().expand(at.stop - at.start) for _, at in self.columns()]
            variances = torch.cat(totals)
        return inverse_root(variances)
