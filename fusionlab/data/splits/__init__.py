"""Splits: which click trains, validates or tests; one file a protocol."""

from fusionlab.data.splits.contract import (
    NAMES,
    SPLITS,
    TEST,
    TRAIN,
    VALID,
    Assignment,
    Share,
    Split,
    split_clicks,
)
from fusionlab.data.splits.given import Given
from fusionlab.data.splits.ratio import Ratio

__all__ = [
    "NAMES",
    "SPLITS",
    "TEST",
    "TRAIN",
    "VALID",
    "Assignment",
    "Given",
    "Ratio",
    "Share",
    "Split",
    "split_clicks",
]
