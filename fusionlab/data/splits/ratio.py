"""A share of each user's clicks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from fusionlab.data.splits.contract import (
    SPLITS,
    Assignment,
    Share,
    Split,
    by_place,
    check_shares,
    held_out,
    places_from_end,
)
from fusionlab.schema import Seed


@SPLITS.register("ratio")
class Ratio(Split):
    """Per-user ratio: a share of each user's clicks, drawn at random or the latest in time.

    A user with n clicks gives floor(n * share + 1/2) of them to validation and to test each, but
    always keeps at least one for train.

    Options:
        valid: share of each user's clicks for validation
        test: share of each user's clicks for test
        by: "random" draws them, "time" takes the latest for test and those before for validation
        seed: of the random draw
    """

    def __init__(
        self,
        *,
        valid: Share = 0.1,
        test: Share = 0.1,
        by: Literal["random", "time"] = "random",
        seed: Seed = 0,
    ) -> None:
        check_shares(valid, test)
        self.valid, self.test, self.by, self.seed = valid, test, by, seed

    @property
    def needs(self) -> tuple[str, ...]:
        """The time, if it decides."""
        return ("time",) if self.by == "time" else ()

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """Order each user's clicks by the draw or by time; the last are test, then validation."""
        if self.by == "time":
            key = self.column(clicks, "time").to_numpy()
        else:
            key = np.random.default_rng(self.seed).random(len(clicks))
        places, counts = places_from_end(clicks["user"].to_numpy(), key)
        return by_place(places, *held_out(counts, self.valid, self.test))
