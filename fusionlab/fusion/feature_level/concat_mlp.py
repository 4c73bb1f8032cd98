"""Concatenation followed by a small network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, init_as_one_matrix


@FUSIONS.register("concat_mlp")
class ConcatMlp(Fusion):
    """Concatenate the modalities and put a network with one hidden layer on top.

    v = W_2 gelu(W_1 [x_1; ...; x_M] + b_1) + b_2

    W_1 is kept as one block a modality, as in `concat`; an absent modality adds nothing to the
    hidden layer. The plainest strategy in which modalities may mean together what none means alone.

    Complexity: O(sum_m (T_m + H) d_m + H D) an item.

    Options:
        hidden: H, the width of the hidden layer (default: 2 D)

    Source: Ngiam et al. 2011, Multimodal deep learning (a shared hidden layer over modalities).
    """

    level = Level.FEATURE
    additive = False
    symmetric = True

    def __init__(
        self, specs: Mapping[str, FeatureSpec], dim: int, *, hidden: PositiveInt | None = None
    ) -> None:
        super().__init__(specs, dim)
        width = hidden or 2 * dim
        self.project = Projections(specs, width, bias=False)
        init_as_one_matrix(self.project)
        self.bias = nn.Parameter(torch.zeros(width))
        self.out = nn.Linear(width, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One hidden layer over the blocks of W_1 [x_1; ...; x_M]."""
        parts, present = self.project.pooled(items)
        return one_view(self.out(F.gelu(parts.sum(1) + self.bias)), present)
