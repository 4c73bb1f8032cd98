"""Whole groups of clicks: what is held out was never seen in train."""

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
    by_place,
    check_shares,
    check_warm,
    held_out,
    places_from_end,
)
from fusionlab.schema import Seed


@SPLITS.register("group")
class Group(Split):
    """All clicks of one group stay together: a session, a speaker, an author.

    Of G groups floor(G * share + 1/2), drawn at random, go wholly to validation and to test.

    Options:
        column: of the clicks, the items or the users, whose values are the groups
        valid: share of the groups for validation
        test: share of the groups for test
        seed: of the random draw
    """

    def __init__(
        self, *, column: str, valid: Share = 0.1, test: Share = 0.1, seed: Seed = 0
    ) -> None:
        check_shares(valid, test)
        self.by, self.valid, self.test, self.seed = column, valid, test, seed

    @property
    def needs(self) -> tuple[str, ...]:
        """The column of the groups."""
        return (self.by,)

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """Deal the groups, in the order of their values, so the order of clicks does not matter."""
        groups = self.column(clicks, self.by).rank("dense").to_numpy().astype(np.int64) - 1
        n_groups = int(groups.max(initial=-1)) + 1
        n_valid, n_test = held_out(np.array(n_groups), self.valid, self.test)
        dealt = np.random.default_rng(self.seed).permutation(n_groups)
        part = np.full(n_groups, TRAIN, dtype=np.int8)
        part[dealt[:n_test]] = TEST
        part[dealt[n_test : n_test + n_valid]] = VALID
        return part[groups]


class Cold(Group):
    """Groups held out whole, and of the clicks of the others a share of each user's.

    A user with n clicks left gives floor(n * warm + 1/2) of them to validation and to test each,
    but always keeps one for train; which, does not depend on the order of clicks.
    """

    def __init__(self, *, column: str, valid: float, test: float, warm: float, seed: int) -> None:
        super().__init__(column=column, valid=valid, test=test, seed=seed)
        check_warm(warm)
        self.warm = warm

    def assign(self, clicks: pl.DataFrame) -> Assignment:
        """The groups first, then a draw among the clicks that they leave."""
        assignment = super().assign(clicks)
        if not self.warm:
            return assignment
        rest = (assignment == TRAIN).nonzero()[0]
        users, items = clicks["user"].to_numpy()[rest], clicks["item"].to_numpy()[rest]
        key = np.empty(len(rest))
        key[np.lexsort((items, users))] = np.random.default_rng([self.seed, 1]).random(len(rest))
        places, counts = places_from_end(users, key)
        assignment[rest] = by_place(places, *held_out(counts, self.warm, self.warm))
        return assignment


@SPLITS.register("cold_items")
class ColdItems(Cold):
    """Cold start of items: items drawn for validation and test have no click in train.

    Of N clicked items floor(N * share + 1/2) go to validation and to test with all their clicks:
    only their content can recommend them. With ``warm`` both parts also hold clicks on the other
    items, to judge both in one run (`evaluation.cold`); an item whose every click is drawn there
    has none in train either.

    Options:
        valid: share of the items for validation
        test: share of the items for test
        warm: share of each user's clicks on the other items for validation, and as much for test
        seed: of the random draws
    """

    def __init__(
        self, *, valid: Share = 0.1, test: Share = 0.1, warm: Share = 0.0, seed: Seed = 0
    ) -> None:
        super().__init__(column="item", valid=valid, test=test, warm=warm, seed=seed)


@SPLITS.register("cold_users")
class ColdUsers(Cold):
    """Cold start of users: users drawn for validation and test have no click in train.

    With ``warm`` both parts also hold clicks of the other users, who keep at least one for train.

    Options:
        valid: share of the users for validation
        test: share of the users for test
        warm: share of each other user's clicks for validation, and as much for test
        seed: of the random draws
    """

    def __init__(
        self, *, valid: Share = 0.1, test: Share = 0.1, warm: Share = 0.0, seed: Seed = 0
    ) -> None:
        super().__init__(column="user", valid=valid, test=test, warm=warm, seed=seed)
