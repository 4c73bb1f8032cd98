"""Splits: which click trains, validates or tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from fusionlab.data.interactions import Clicks, Interactions, Sealed
from fusionlab.errors import FusionlabError
from fusionlab.registry import Registry

TRAIN, VALID, TEST = 0, 1, 2
NAMES = ("train", "valid", "test")
Assignment = npt.NDArray[np.int8]
Share = Annotated[float, Field(ge=0, lt=1)]


class Split(ABC):
    """Assigns each click to train (0), validation (1) or test (2)."""

    @abstractmethod
    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """(E,) int8 for a frame of E clicks: ``user``, ``item`` (int64 rows), optional ``time``."""


SPLITS: Registry[Split] = Registry("split", Split, "fusionlab.data.splits")


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
        seed: int = 0,
    ) -> None:
        self.valid, self.test, self.by, self.seed = valid, test, by, seed

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """Order each user's clicks by the draw or by time; the last are test, then validation."""
        users = clicks["user"].to_numpy()
        if self.by == "time":
            if "time" not in clicks.columns:
                raise FusionlabError("split.by: found 'time', but the clicks have no time column")
            key = clicks["time"].to_numpy()
        else:
            key = np.random.default_rng(self.seed).random(len(users))
        order = np.lexsort((key, users))
        counts = np.bincount(users)
        starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
        from_end = counts[users[order]] - (np.arange(len(users)) - starts[users[order]])
        n_test = np.floor(counts * self.test + 0.5)
        n_valid = np.floor(counts * self.valid + 0.5)
        n_test = np.minimum(n_test, counts - 1)
        n_valid = np.minimum(n_valid, counts - 1 - n_test)
        assignment = np.full(len(users), TRAIN, dtype=np.int8)
        held = n_test[users[order]]
        assignment[order] = np.where(
            from_end <= held,
            TEST,
            np.where(from_end <= held + n_valid[users[order]], VALID, TRAIN),
        )
        return assignment


def split_clicks(
    clicks: pl.DataFrame, assignment: Assignment, user_ids: pl.Series, n_items: int
) -> Interactions:
    """Compressed rows of each split, oldest first within a user where there is a ``time``."""
    if "time" in clicks.columns:
        order = np.argsort(clicks["time"].to_numpy(), kind="stable")
        clicks, assignment = clicks[order], assignment[order]
    users, items = clicks["user"].to_numpy(), clicks["item"].to_numpy()
    rows = [
        Clicks.from_pairs(users[chosen], items[chosen], len(user_ids), n_items)
        for chosen in (assignment == part for part in (TRAIN, VALID, TEST))
    ]
    for name, part in zip(NAMES, rows, strict=True):
        if len(part) == 0:
            raise FusionlabError(
                f"split: found no click in {name}, expected at least one "
                f"({len(clicks)} clicks in all)"
            )
    return Interactions(user_ids, rows[TRAIN], rows[VALID], Sealed("test interactions", rows[TEST]))
