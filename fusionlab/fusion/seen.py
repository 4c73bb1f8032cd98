"""Items as a strategy's own `forward` sees them: behind what was attached to run before it."""

from __future__ import annotations

from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.trained import TrainedEncoders
from fusionlab.fusion.contract import Fusion
from fusionlab.fusion.imputers.contract import Imputer


def encoded(fusion: Fusion, items: ItemFeatures) -> ItemFeatures:
    """The items behind encoders that are trained with the strategy, if there are any."""
    encoders = getattr(fusion, "trained_encoders", None)
    return encoders(items) if isinstance(encoders, TrainedEncoders) else items


def imputed(fusion: Fusion, items: ItemFeatures) -> ItemFeatures:
    """Encoded items behind the strategy's imputer, if there is one."""
    imputer = getattr(fusion, "imputer", None)
    return imputer(items) if isinstance(imputer, Imputer) else items
