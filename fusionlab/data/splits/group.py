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
    check_shares,
    held_out,
)


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
        self, *, column: str, valid: Share = 0.1, test: Share = 0.1, seed: int = 0
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


@SPLITS.register("cold_items")
class ColdItems(Group):
    """Cold start of items: items drawn for validation and test have no click in train.

    Of N clicked items floor(N * share + 1/2) go to validation and to test with all their clicks:
    only their content can recommend them.

    Options:
        valid: share of the items for validation
        test: share of the items for test
        seed: of the random draw
    """

    def __init__(self, *, valid: Share = 0.1, test: Share = 0.1, seed: int = 0) -> None:
        super().__init__(column="item", valid=valid, test=test, seed=seed)


@SPLITS.register("cold_users")
class ColdUsers(Group):
    """Cold start of users: users drawn for validation and test have no click in train.

    Options:
        valid: share of the users for validation
        test: share of the users for test
        seed: of the random draw
    """

    def __init__(self, *, valid: Share = 0.1, test: Share = 0.1, seed: int = 0) -> None:
        super().__init__(column="user", valid=valid, test=test, seed=seed)
