"""The split that the data came with."""

from __future__ import annotations

import numpy as np
import polars as pl

from fusionlab.data.splits.contract import SPLITS, Assignment, Split


@SPLITS.register("given")
class Given(Split):
    """The published split: the clicks' own column ``split``, 0 train, 1 validation, 2 test."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The column that the reader of the format has put there."""
        return ("split",)

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """The column, as it is."""
        return self.column(clicks, "split").to_numpy().astype(np.int8)
