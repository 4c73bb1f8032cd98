from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.data.arrays import FeatureRows
from fusionlab.data.assemble import Found, assemble, in_k_core, row_of
from fusionlab.data.media import Media, Medium
from fusionlab.data.splits import TEST, TRAIN, VALID, Split
from fusionlab.data.tables import Column, Table
from fusionlab.seal import Openings


class Thirds(Split):
    """A split that never leaves a part of three clicks or more empty."""

    name = "thirds"

    def assign(self, clicks):
        return (np.arange(len(clicks)) % 3).astype(np.int8)


def found(users, items, catalogue=None, features=None, **columns):
    clicks = pl.DataFrame({"user": users, "item": items, **columns})
    catalogue = sorted(set(items)) if catalogue is None else catalogue
    return Found(
        "toy",
        Table("toy.csv", clicks),
        "item",
        clicks,
        pl.Series(list(catalogue), dtype=pl.String),
        features or {},
    )


def pairs(data):
    """(user, item) ids of each part, in order."""
    clicks = data.interactions
    parts = [clicks.train, clicks.valid, clicks.test.open(Openings(), "a test")]
    users = clicks.user_ids.to_list()
    items = data.item_ids.to_list()
    return [
        [(users[u], items[i]) for u, i in zip(p.users.tolist(), p.items.tolist(), strict=True)]
        for p in parts
    ]


logs = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("uvwxyz"), st.integers(0, 9)),
    min_size=3,
    max_size=40,
).filter(lambda log: len({row[:2] for row in log}) >= 3)


@given(logs)
def test_every_pair_stands_once_at_its_oldest_time_and_the_others_are_counted(log):
    users, items, times = (list(column) for column in zip(*log, strict=True))
    data = assemble(found(users, items, time=times), Thirds())
    oldest = {}
    for user, item, time in log:
        oldest[user, item] = min(time, oldest.get((user, item), time))
    together = [pair for part in pairs(data) for pair in part]
    assert sorted(together) == sorted(oldest)
    assert data.notes == {"duplicates_removed": len(log) - len(oldest)}
    for part in pairs(data):
        keys = [(user, oldest[user, item]) for user, item in part]
        assert keys == sorted(keys)


@given(logs, st.randoms())
def test_with_times_the_order_of_the_file_changes_nothing(log, random):
    log = [(user, item, 100 * time + place) for place, (user, item, time) in enumerate(log)]
    shuffled = list(log)
    random.shuffle(shuffled)
    datasets = []
    for rows in (log, shuffled):
        users, items, times = (list(column) for column in zip(*rows, strict=True))
        datasets.append(assemble(found(users, items, time=times), Thirds()))
    assert datasets[0].fingerprint == datasets[1].fingerprint
    assert pairs(datasets[0]) == pairs(datasets[1])


def test_a_pair_in_two_published_splits_stays_in_the_earlier_one():
    users, items = list("aaaaabb"), list("uvwuvuw")
    split = pl.Series([TEST, VALID, TEST, TRAIN, TEST, TRAIN, VALID], dtype=pl.Int8)
    data = assemble(found(users, items, split=split, time=[1, 2, 3, 4, 5, 6, 7]))
    assert pairs(data) == [[("a", "u"), ("b", "u")], [("a", "v"), ("b", "w")], [("a", "w")]]
    assert data.notes == {"pairs_in_several_splits": 2, "duplicates_removed": 2}


@given(logs, st.integers(1, 3))
def test_the_core_is_what_is_left_when_nothing_more_can_go(log, k):
    kept = {row[:2] for row in log}
    while True:
        by_user = [user for user, _ in kept]
        by_item = [item for _, item in kept]
        fewer = {(u, i) for u, i in kept if by_user.count(u) >= k and by_item.count(i) >= k}
        if fewer == kept:
            break
        kept = fewer
    distinct = sorted({row[:2] for row in log})
    users = row_of(pl.Series([u for u, _ in distinct]), pl.Series(list("abcde"))).to_numpy()
    items = row_of(pl.Series([i for _, i in distinct]), pl.Series(list("uvwxyz"))).to_numpy()
    chosen = in_k_core(users, items, k)
    assert {pair for pair, stays in zip(distinct, chosen, strict=True) if stays} == kept


def test_the_core_renumbers_users_items_and_features_together():
    users, items = list("aabbbcc"), list("uvuvwvu")
    values = torch.arange(12.0).reshape(4, 1, 3)
    rows = FeatureRows("x.npy", values, torch.ones(4, 1, dtype=torch.bool))
    data = assemble(found(users, items, "tuvw", {"x": rows}), Thirds(), k_core=2)
    assert data.item_ids.to_list() == ["u", "v"]
    assert data.interactions.user_ids.to_list() == ["a", "b", "c"]
    assert data.features.values["x"].equal(values[1:3])
    assert sum(len(part) for part in pairs(data)) == 6
    assert data.notes["items_below_k_core"] == 2
    assert data.notes["users_below_k_core"] == 0


@given(st.permutations(range(6)), st.integers(1, 6))
def test_feature_rows_in_any_order_reach_their_items(order, count):
    catalogue = [f"item {row}" for row in range(6)]
    ids = pl.DataFrame({"item": [catalogue[row] for row in order[:count]]})
    values = torch.tensor(order[:count], dtype=torch.float32).reshape(-1, 1, 1).expand(-1, 2, 3)
    mask = torch.tensor([[row % 2 == 0, True] for row in order[:count]])
    rows = FeatureRows("x.npy", values, mask, Column(Table("x.ids.csv", ids), "item"))
    data = assemble(found(list("abc"), catalogue[:3], catalogue, {"x": rows}), Thirds())
    assert data.item_ids.to_list() == catalogue
    assert data.features.present("x").tolist() == [row in order[:count] for row in range(6)]
    for row in order[:count]:
        assert (data.features.values["x"][row] == row).all()
        assert data.features.mask["x"][row].tolist() == [row % 2 == 0, True]


def test_rows_in_the_order_of_the_catalogue_are_not_copied():
    values, mask = torch.rand(3, 1, 2), torch.ones(3, 1, dtype=torch.bool)
    ids = Column(Table("x.ids.csv", pl.DataFrame({"item": list("uvw")})), "item")
    for rows in (FeatureRows("x.npy", values, mask), FeatureRows("x.npy", values, mask, ids)):
        data = assemble(found(list("abc"), list("uvw"), features={"x": rows}), Thirds())
        assert data.features.values["x"].data_ptr() == values.data_ptr()


USERS, ITEMS = list("aabbcc"), list("uvuwvw")
VALUES = torch.arange(6.0).reshape(3, 1, 2)
OTHER = {
    "a user's name": {"users": list("aabbdd")},
    "a click": {"items": list("uvuwvu")},
    "an item's name": {"items": list("uvuxvx")},
    "an item more": {"catalogue": "uvwx", "features": {}},
    "a feature": {"features": VALUES + torch.tensor([0, 1e-6])},
    "the type of the features": {"features": VALUES.double()},
    "no features": {"features": {}},
}


def toy(users=USERS, items=ITEMS, features=VALUES, catalogue=None):
    if isinstance(features, torch.Tensor):
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        features = {"x": FeatureRows("x.npy", features, mask)}
    return found(users, items, catalogue, features)


@pytest.mark.parametrize("change", OTHER.values(), ids=list(OTHER))
def test_other_content_has_another_fingerprint(change):
    same = assemble(toy(), Thirds()).fingerprint
    assert assemble(toy(), Thirds()).fingerprint == same
    assert assemble(toy(**change), Thirds()).fingerprint != same


def test_another_split_has_another_fingerprint():
    class Reversed(Thirds):
        def assign(self, clicks):
            return super().assign(clicks)[::-1].copy()

    one, other = assemble(toy(), Thirds()), assemble(toy(), Reversed())
    assert one.fingerprint != other.fingerprint


def test_ids_that_join_to_the_same_text_are_told_apart():
    one = assemble(found(list("aab"), ["u", "v", "u"], ["u", "v", "xy", "z"]), Thirds())
    other = assemble(found(list("aab"), ["u", "v", "u"], ["u", "v", "x", "yz"]), Thirds())
    assert one.fingerprint != other.fingerprint


def test_media_stay_with_their_items():
    users, items = list("aabbbcc"), list("uvuvwvu")
    given = found(users, items, "tuvw")
    given = replace(given, media={"title": Media(Medium.TEXT, ["T", None, "V", "W"])})
    assert assemble(given, Thirds()).media == given.media
    core = assemble(given, Thirds(), k_core=2)
    assert core.item_ids.to_list() == ["u", "v"]
    assert core.media == {"title": Media(Medium.TEXT, [None, "V"])}
