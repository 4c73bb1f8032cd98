"""Nothing stands in: what is missing is masked."""

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.imputers.contract import IMPUTERS, Imputer


@IMPUTERS.register("none")
class NoImputer(Imputer):
    """A missing modality stays masked, and the fusion strategy does without."""

    def forward(self, items: ItemFeatures) -> ItemFeatures:
        """The items as they are."""
        return items
