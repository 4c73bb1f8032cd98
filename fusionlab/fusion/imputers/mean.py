"""The mean of the train items in place of what is missing."""

from collections.abc import Mapping

from torch import Tensor

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.imputers.contract import IMPUTERS, Features, Imputer, token_means


@IMPUTERS.register("mean")
class Mean(Imputer):
    """The mean of each token over the train items that have it; tokens none has stay masked."""

    def __init__(self, specs: Mapping[str, FeatureSpec]) -> None:
        super().__init__(specs)
        self.means = ByName({name: Features(spec, 1) for name, spec in self.specs.items()})

    def fit(self, items: ItemFeatures) -> None:
        """Take the means."""
        for name, held in self.means.items():
            mean, on = token_means(items.values[name], items.mask[name])
            held.hold(mean[None], on[None])

    def guess(self, modality: str, items: ItemFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same for every item."""
        held = self.means[modality]
        return held.values, held.mask
