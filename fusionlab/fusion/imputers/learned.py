"""A trained vector in place of what is missing."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import OfModalities
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.imputers.contract import IMPUTERS, Imputer, token_means


@IMPUTERS.register("learned")
class Learned(Imputer):
    """A vector for each token of each modality, trained with the model from the train mean on.

    It learns only where modalities are missing in training: `inputs.missing.train`,
    `training.modality_dropout`, or a balancer that trains on coalitions. Else it stays the mean.
    """

    def __init__(self, specs: Mapping[str, FeatureSpec]) -> None:
        super().__init__(specs)
        self.vectors = OfModalities(
            {
                name: nn.Parameter(torch.zeros(spec.tokens, spec.dim))
                for name, spec in self.specs.items()
            }
        )

    @torch.no_grad()
    def fit(self, items: ItemFeatures) -> None:
        """Begin with the means."""
        for name, vector in self.vectors.items():
            vector.copy_(token_means(items.values[name], items.mask[name])[0])

    def guess(self, modality: str, items: ItemFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same for every item, all tokens on."""
        on = items.mask[items.modalities[0]].new_ones(1, self.specs[modality].tokens)
        return self.vectors[modality][None], on
