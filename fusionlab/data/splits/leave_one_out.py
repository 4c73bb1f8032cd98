"""Each user's last click."""

from __future__ import annotations

import numpy as np
import polars as pl

from fusionlab.data.splits.contract import (
    SPLITS,
    Assignment,
    Split,
    by_place,
    places_from_end,
)

FEWEST = 3


@SPLITS.register("leave_one_out")
class LeaveOneOut(Split):
    """Leave one out: each user's last click is test, the one before it validation.

    The last by time; where there is no time, the last in the order of the file, which also decides
    between equal times. Users with fewer than 3 clicks stay wholly in train.
    """

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """Order each user's clicks by time, or by appearance; hold out the last two."""
        timed = "time" in clicks.columns
        key = self.column(clicks, "time").to_numpy() if timed else np.arange(len(clicks))
        places, counts = places_from_end(clicks["user"].to_numpy(), key)
        one = (counts >= FEWEST).astype(np.int64)
        return by_place(places, one, one)
