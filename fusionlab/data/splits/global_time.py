"""Two moments in time, the same for all users."""

from __future__ import annotations

import numpy as np
import polars as pl

from fusionlab.data.splits.contract import (
    SPLITS,
    TEST,
    TRAIN,
    VALID,
    Assignment,
    Share,
    Split,
    check_shares,
    held_out,
)


@SPLITS.register("global_time")
class GlobalTime(Split):
    """Global temporal split: what is to be predicted lies after everything that was learnt from.

    Of E clicks ordered by time the latest floor(E * share + 1/2) are test and those before them
    validation. Clicks of one moment stay together, in the later part: every train click is older
    than every validation click, and that older than every test click. Users and items may be seen
    only outside train. Protocol: Meng et al. (2020), "Exploring Data Splitting Strategies for the
    Evaluation of Recommendation Models".

    Options:
        valid: share of all clicks for validation
        test: share of all clicks for test
    """

    def __init__(self, *, valid: Share = 0.1, test: Share = 0.1) -> None:
        check_shares(valid, test)
        self.valid, self.test = valid, test

    @property
    def needs(self) -> tuple[str, ...]:
        """The time."""
        return ("time",)

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """Cut at the moments of the first test and the first validation click."""
        time = self.column(clicks, "time").to_numpy()
        n_valid, n_test = held_out(np.array(len(time)), self.valid, self.test)
        ordered = np.sort(time)
        assignment = np.full(len(time), TRAIN, dtype=np.int8)
        for part, held in ((VALID, n_test + n_valid), (TEST, n_test)):
            if held:
                assignment[time >= ordered[-held]] = part
        return assignment
