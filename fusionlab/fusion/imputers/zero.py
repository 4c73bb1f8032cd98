"""Zeros in place of what is missing."""

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.imputers.contract import IMPUTERS, Imputer


@IMPUTERS.register("zero")
class Zero(Imputer):
    """x = 0 for every token: of centred features the mean, said to be there."""

    def guess(self, modality: str, items: ItemFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros, all tokens on."""
        spec, mask = self.specs[modality], items.mask[items.modalities[0]]
        on = mask.new_ones(1, spec.tokens)
        return torch.zeros(1, spec.tokens, spec.dim, device=mask.device), on
