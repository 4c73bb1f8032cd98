import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.splits import (
    NAMES,
    SPLITS,
    TEST,
    TRAIN,
    VALID,
    Given,
    Ratio,
    Split,
    split_clicks,
)
from fusionlab.data.splits.global_time import GlobalTime
from fusionlab.data.splits.group import ColdItems, ColdUsers, Group
from fusionlab.data.splits.leave_one_out import LeaveOneOut
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings

shares = st.sampled_from([(0.0, 0.1), (0.1, 0.1), (0.2, 0.3), (0.45, 0.45), (0.1, 0.0)])
seeds = st.integers(0, 5)


@st.composite
def frames(draw):
    """Distinct pairs of users and items in any order, with times that may tie."""
    pair = st.tuples(st.integers(0, 6), st.integers(0, 9))
    pairs = draw(st.lists(pair, min_size=1, max_size=50, unique=True))
    size = len(pairs)
    users, items = np.array(pairs, dtype=np.int64).T
    return pl.DataFrame(
        {
            "user": users,
            "item": items,
            "time": draw(st.lists(st.integers(0, 15), min_size=size, max_size=size)),
            "session": draw(st.lists(st.sampled_from("abcdefg"), min_size=size, max_size=size)),
            "split": pl.Series(
                draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)), dtype=pl.Int8
            ),
        }
    )


def every(valid=0.1, test=0.1, seed=0):
    """Each registered split, with the options it has."""
    kinds = {
        "ratio": Ratio(valid=valid, test=test, seed=seed),
        "given": Given(),
        "leave_one_out": LeaveOneOut(),
        "global_time": GlobalTime(valid=valid, test=test),
        "cold_items": ColdItems(valid=valid, test=test, seed=seed),
        "cold_users": ColdUsers(valid=valid, test=test, seed=seed),
        "group": Group(column="session", valid=valid, test=test, seed=seed),
    }
    assert kinds.keys() == set(SPLITS.names())
    return kinds.values()


def rounded(n, valid, test):
    n_test = min(int(np.floor(n * test + 0.5)), n - 1)
    return min(int(np.floor(n * valid + 0.5)), n - 1 - n_test), n_test


@given(frames(), shares, seeds)
def test_every_click_is_in_exactly_one_split_and_a_seed_gives_the_same_one(clicks, share, seed):
    for split, again in zip(every(*share, seed), every(*share, seed), strict=True):
        assignment = split.assign(clicks)
        assert assignment.shape == (len(clicks),)
        assert assignment.dtype == np.int8
        assert set(np.unique(assignment)) <= {TRAIN, VALID, TEST}
        np.testing.assert_array_equal(assignment, again.assign(clicks))


@given(frames(), shares, seeds)
def test_the_parts_together_are_the_clicks_and_no_pair_is_in_two(clicks, share, seed):
    ids = pl.Series([f"user {row}" for row in range(7)])
    for split in every(*share, seed):
        assignment = split.assign(clicks)
        if len(np.unique(assignment)) < 3:
            with pytest.raises(FusionlabError, match="split: found no click in"):
                split_clicks(clicks, assignment, ids, 10)
            continue
        divided = split_clicks(clicks, assignment, ids, 10)
        parts = [divided.train, divided.valid, divided.test.open(Openings(), "a test")]
        pairs = [set(zip(p.users.tolist(), p.items.tolist(), strict=True)) for p in parts]
        assert sum(len(part) for part in parts) == len(clicks)
        assert pairs[0] | pairs[1] | pairs[2] == set(clicks.select("user", "item").rows())


@given(frames())
def test_the_parts_are_oldest_first_within_a_user(clicks):
    assignment = np.arange(len(clicks)).astype(np.int8) % 3
    if len(clicks) < 3:
        return
    divided = split_clicks(clicks, assignment, pl.Series(range(7)), 10)
    when = {(user, item): time for user, item, time in clicks.select("user", "item", "time").rows()}
    for user in range(7):
        start, end = divided.train.indptr[user : user + 2].tolist()
        times = [when[user, item] for item in divided.train.items[start:end].tolist()]
        assert times == sorted(times)


@given(frames(), shares, seeds, st.sampled_from(["random", "time"]))
def test_ratio_holds_out_the_rounded_share_of_each_user_and_never_all(clicks, share, seed, by):
    assignment = Ratio(valid=share[0], test=share[1], by=by, seed=seed).assign(clicks)
    for user in clicks["user"].unique():
        of_user = assignment[(clicks["user"] == user).to_numpy()]
        held = rounded(len(of_user), *share)
        assert ((of_user == VALID).sum(), (of_user == TEST).sum()) == held


@given(frames(), shares)
def test_ratio_by_time_orders_each_user(clicks, share):
    assignment = Ratio(valid=share[0], test=share[1], by="time").assign(clicks)
    assert_in_order(clicks.with_columns(part=assignment), lambda old, new: old <= new)


def assert_in_order(clicks, right):
    """Of each user, train is not after validation, nor validation after test."""
    for _, rows in clicks.group_by("user"):
        for early, late in ((TRAIN, VALID), (TRAIN, TEST), (VALID, TEST)):
            old = rows.filter(pl.col("part") == early)["time"].max()
            new = rows.filter(pl.col("part") == late)["time"].min()
            assert old is None or new is None or right(old, new)


def test_ratio_draws_others_with_another_seed():
    clicks = pl.DataFrame({"user": np.repeat(0, 100), "item": np.arange(100)})
    assert (Ratio(seed=0).assign(clicks) != Ratio(seed=1).assign(clicks)).any()


@given(frames())
def test_given_is_the_column(clicks):
    np.testing.assert_array_equal(Given().assign(clicks), clicks["split"].to_numpy())


@given(frames())
def test_leave_one_out_takes_the_last_two_of_who_has_three(clicks):
    assignment = LeaveOneOut().assign(clicks)
    for user in clicks["user"].unique():
        of_user = assignment[(clicks["user"] == user).to_numpy()]
        held = 1 if len(of_user) >= 3 else 0
        assert (of_user == TEST).sum() == (of_user == VALID).sum() == held
    assert_in_order(clicks.with_columns(part=assignment), lambda old, new: old <= new)


def test_leave_one_out_without_time_takes_the_order_of_appearance_which_also_breaks_ties():
    users = np.array([0, 1, 0, 1, 0, 0, 1])
    clicks = pl.DataFrame({"user": users, "item": np.arange(7)})
    expected = [TRAIN, TRAIN, TRAIN, VALID, VALID, TEST, TEST]
    assert LeaveOneOut().assign(clicks).tolist() == expected
    tied = clicks.with_columns(time=pl.lit(3))
    assert LeaveOneOut().assign(tied).tolist() == expected


@given(frames(), shares)
def test_global_time_lets_no_split_reach_back_into_an_earlier_one(clicks, share):
    part = GlobalTime(valid=share[0], test=share[1]).assign(clicks)
    time = clicks["time"].to_numpy()
    for early, late in ((TRAIN, VALID), (TRAIN, TEST), (VALID, TEST)):
        if (part == early).any() and (part == late).any():
            assert time[part == early].max() < time[part == late].min()
    n_valid, n_test = rounded(len(clicks), *share)
    assert (part == TEST).sum() >= n_test
    assert (part != TRAIN).sum() >= n_test + n_valid
    if len(np.unique(time)) == len(time):
        assert ((part == VALID).sum(), (part == TEST).sum()) == (n_valid, n_test)


@given(frames(), shares, seeds, st.sampled_from(["item", "user", "session"]))
def test_groups_stay_whole_and_the_rounded_share_of_them_is_held_out(clicks, share, seed, column):
    valid, test = share
    split: Split = {
        "item": ColdItems(valid=valid, test=test, seed=seed),
        "user": ColdUsers(valid=valid, test=test, seed=seed),
        "session": Group(column="session", valid=valid, test=test, seed=seed),
    }[column]
    parts = clicks.with_columns(part=split.assign(clicks)).group_by(column).agg("part")
    of_group = [set(part) for part in parts["part"]]
    assert all(len(part) == 1 for part in of_group)
    held = (of_group.count({VALID}), of_group.count({TEST}))
    assert held == rounded(len(of_group), valid, test)


@given(frames(), seeds, st.randoms())
def test_the_order_of_clicks_does_not_move_a_group(clicks, seed, random):
    order = list(range(len(clicks)))
    random.shuffle(order)
    split = Group(column="session", valid=0.3, test=0.3, seed=seed)
    np.testing.assert_array_equal(split.assign(clicks)[order], split.assign(clicks[order]))


def test_cold_items_draws_others_with_another_seed():
    clicks = pl.DataFrame({"user": np.repeat(0, 100), "item": np.arange(100)})
    assert (ColdItems(seed=0).assign(clicks) != ColdItems(seed=1).assign(clicks)).any()


@pytest.mark.parametrize("name", ["ratio", "global_time", "cold_items", "cold_users", "group"])
def test_shares_must_leave_something_to_train_on(name):
    column = {"column": "session"} if name == "group" else {}
    part = SPLITS.parse({"name": name, "valid": 0.5, "test": 0.5, **column})
    with pytest.raises(FusionlabError) as error:
        part.build()
    assert str(error.value) == (
        "split: found valid 0.5 and test 0.5, expected a sum below 1: the rest is for train"
    )


@pytest.mark.parametrize(
    ("split", "lacks"),
    [
        (Given(), "split"),
        (GlobalTime(), "time"),
        (Ratio(by="time"), "time"),
        (Group(column="itme"), "itme"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_split_says_which_column_it_lacks(split, lacks):
    clicks = pl.DataFrame({"user": [0, 0], "item": [0, 1]})
    assert lacks in split.needs
    with pytest.raises(FusionlabError) as error:
        split.assign(clicks)
    assert str(error.value).startswith(
        f"split {split.name!r}: the clicks have no such column: found the columns "
        f"item, user, expected {lacks!r} among them"
    )


@pytest.mark.parametrize("wrong", [np.array([0, 1]), np.array([0, 1, 3])], ids=["short", "three"])
def test_what_a_split_from_outside_returns_is_checked(wrong):
    clicks = pl.DataFrame({"user": [0, 0, 0], "item": [0, 1, 2]})
    with pytest.raises(FusionlabError, match="expected 0, 1 or 2 for each of 3 clicks"):
        split_clicks(clicks, wrong.astype(np.int8), pl.Series([0]), 3)


@settings(max_examples=20)
@given(frames())
def test_an_empty_split_is_refused_by_name(clicks):
    for part, name in enumerate(NAMES):
        others = [code for code in (TRAIN, VALID, TEST) if code != part]
        assignment = np.resize(np.array(others, dtype=np.int8), len(clicks))
        with pytest.raises(FusionlabError, match="split: found no click in") as error:
            split_clicks(clicks, assignment, pl.Series(range(7)), 10)
        if len(clicks) > 1:
            assert f"in {name}, expected at least one" in str(error.value)


cold_kinds = st.sampled_from([ColdItems, ColdUsers])
warms = st.sampled_from([0.1, 0.25, 0.45])


@given(frames(), shares, warms, seeds, cold_kinds)
def test_warm_clicks_are_the_rounded_share_of_what_each_user_has_left(
    clicks, share, warm, seed, kind
):
    options = {"valid": share[0], "test": share[1], "seed": seed}
    cold = kind(**options).assign(clicks)
    np.testing.assert_array_equal(cold, kind(**options, warm=0.0).assign(clicks))
    assignment = kind(**options, warm=warm).assign(clicks)
    left = cold == TRAIN
    np.testing.assert_array_equal(assignment[~left], cold[~left])
    for user in clicks["user"].unique():
        of_user = assignment[left & (clicks["user"] == user).to_numpy()]
        held = rounded(len(of_user), warm, warm) if len(of_user) else (0, 0)
        assert ((of_user == VALID).sum(), (of_user == TEST).sum()) == held


@given(frames(), warms, seeds, st.randoms(), cold_kinds)
def test_the_order_of_clicks_does_not_move_a_warm_click(clicks, warm, seed, random, kind):
    order = list(range(len(clicks)))
    random.shuffle(order)
    split = kind(valid=0.2, test=0.2, warm=warm, seed=seed)
    np.testing.assert_array_equal(split.assign(clicks)[order], split.assign(clicks[order]))


def test_without_warm_the_groups_are_dealt_as_before_it_was_there():
    clicks = pl.DataFrame({"user": np.repeat(np.arange(8), 4), "item": np.tile(np.arange(16), 2)})
    options = {"valid": 0.2, "test": 0.2, "seed": 3}
    items = [0, 1, 1, 0, 0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 2]
    assert ColdItems(**options).assign(clicks).tolist() == items * 2
    assert ColdUsers(**options).assign(clicks)[::4].tolist() == [0, 1, 1, 0, 0, 0, 2, 2]


def test_warm_clicks_are_others_with_another_seed_and_leave_something_to_train_on():
    clicks = pl.DataFrame({"user": np.repeat(0, 100), "item": np.arange(100)})
    warm = [ColdItems(valid=0.0, test=0.0, warm=0.2, seed=seed).assign(clicks) for seed in (0, 1)]
    assert (warm[0] != warm[1]).any()
    with pytest.raises(FusionlabError, match=r"split\.warm: found 0\.5, expected less than 0\.5"):
        ColdItems(warm=0.5)
