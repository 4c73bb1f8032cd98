"""What a split is, and the clicks of its three parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field

from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.data.situations import Situations, context_of
from fusionlab.errors import FusionlabError, among
from fusionlab.registry import Registry
from fusionlab.seal import Sealed

TRAIN, VALID, TEST = 0, 1, 2
NAMES = ("train", "valid", "test")
Assignment = npt.NDArray[np.int8]
Ints = npt.NDArray[np.int64]
Share = Annotated[float, Field(ge=0, lt=1)]


class Split(ABC):
    """Assigns each click to train (0), validation (1) or test (2)."""

    name: ClassVar[str]

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns, beyond ``user`` and ``item``, that it cannot do without."""
        return ()

    @abstractmethod
    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """(E,) int8 for a frame of E clicks: ``user``, ``item`` (int64 rows), optional ``time``.

        What `needs` names is there too. The order of the frame is the order of appearance.
        """

    def column(self, clicks: pl.DataFrame, name: str) -> pl.Series:
        """A column of the clicks without gaps, or an error that says which split asked for it."""
        if name not in clicks.columns:
            raise FusionlabError(self.lacks(name, clicks.columns))
        if clicks[name].null_count():
            raise FusionlabError(
                f"split {self.name!r}: {clicks[name].null_count()} of {len(clicks)} clicks have "
                f"nothing in the column {name!r}, expected a value in each"
            )
        return clicks[name]

    def lacks(self, column: str, columns: list[str]) -> str:
        """The message that ``column`` is not among ``columns``."""
        return f"split {self.name!r}: the clicks have no such column: {among(column, columns)}"


SPLITS: Registry[Split] = Registry("split", Split, "fusionlab.data.splits")


def check_shares(valid: float, test: float) -> None:
    """Refuse shares that leave nothing to train on."""
    if valid + test >= 1:
        raise FusionlabError(
            f"split: found valid {valid} and test {test}, expected a sum below 1: "
            "the rest is for train"
        )


def check_warm(warm: float) -> None:
    """Refuse a share of warm clicks, taken twice, that leaves nothing to train on."""
    if warm >= 0.5:
        raise FusionlabError(
            f"split.warm: found {warm}, expected less than 0.5: validation and test take that "
            "share each, and the rest is for train"
        )


def held_out(counts: Ints, valid: float, test: float) -> tuple[Ints, Ints]:
    """How many of ``counts`` things go to validation and to test: floor(n * share + 1/2) each.

    At least one of n >= 1 is left for train; test is served before validation.
    """
    most = np.maximum(counts - 1, 0)
    n_test = np.minimum(np.floor(counts * test + 0.5).astype(np.int64), most)
    n_valid = np.minimum(np.floor(counts * valid + 0.5).astype(np.int64), most - n_test)
    return n_valid, n_test


def places_from_end(users: Ints, key: npt.NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Each click's place among its user's, 1 the greatest ``key``, and that user's clicks.

    Of equal keys the one that appears later counts as the greater.
    """
    order = np.lexsort((key, users))
    counts = np.bincount(users)
    ends = np.cumsum(counts)
    places = np.empty(len(users), dtype=np.int64)
    places[order] = ends[users[order]] - np.arange(len(users))
    return places, counts[users]


def by_place(places: Ints, n_valid: Ints, n_test: Ints) -> Assignment:
    """Test up to place ``n_test`` from the end, validation for the ``n_valid`` before, else train.

    ``n_valid`` and ``n_test`` are (E,), the numbers of the click's user.
    """
    held = np.where(places <= n_test + n_valid, VALID, TRAIN)
    return np.where(places <= n_test, TEST, held).astype(np.int8)


def split_clicks(
    clicks: pl.DataFrame,
    assignment: Assignment,
    user_ids: pl.Series,
    n_items: int,
    context: Sequence[str] = (),
) -> Interactions:
    """Compressed rows of each split, oldest first within a user where there is a ``time``.

    ``context`` names context columns of the clicks (`column_of`); train clicks decide which of
    their values are known.
    """
    if assignment.shape != (len(clicks),) or not np.isin(assignment, (TRAIN, VALID, TEST)).all():
        raise FusionlabError(
            f"split: found an assignment of shape {assignment.shape} with the values "
            f"{np.unique(assignment).tolist()}, expected 0, 1 or 2 for each of {len(clicks)} clicks"
        )
    if "time" in clicks.columns:
        order = np.argsort(clicks["time"].to_numpy(), kind="stable")
        clicks, assignment = clicks[order], assignment[order]
    users, items = clicks["user"].to_numpy(), clicks["item"].to_numpy()
    situations, codes = None, None
    if context:
        columns = context_of(clicks, context)
        situations = Situations.of(columns.filter(assignment == TRAIN))
        codes = situations.codes(columns)
    rows = [
        Clicks.from_pairs(
            users[chosen],
            items[chosen],
            len(user_ids),
            n_items,
            None if codes is None else codes[torch.from_numpy(chosen)],
        )
        for chosen in (assignment == part for part in (TRAIN, VALID, TEST))
    ]
    for name, part in zip(NAMES, rows, strict=True):
        if len(part) == 0:
            raise FusionlabError(
                f"split: found no click in {name}, expected at least one "
                f"({len(clicks)} clicks in all)"
            )
    test = Sealed("test interactions", rows[TEST])
    return Interactions(user_ids, rows[TRAIN], rows[VALID], test, situations)
