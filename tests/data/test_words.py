"""Words: what they make of train, validation and test."""

import numpy as np
import polars as pl
import pytest
import torch

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.words import SCHEMA, new_clicks, with_words, words_fingerprint
from fusionlab.seal import Openings


@pytest.fixture(scope="module")
def dataset():
    return Synthetic(users=20, items=30, clicks=8).load()


def words(*rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def items_of(dataset, clicks, user):
    row = dataset.interactions.user_ids.to_list().index(user)
    rows = clicks.items[clicks.indptr[row] : clicks.indptr[row + 1]].numpy()
    return [str(dataset.item_ids[int(one)]) for one in rows]


def parts(dataset, user):
    found = dataset.interactions
    test = found.test.open(Openings(), "test")
    return [items_of(dataset, clicks, user) for clicks in (found.train, found.valid, test)]


def test_likes_come_last_in_their_order_and_dislikes_go(dataset):
    user = dataset.interactions.user_ids[3]
    train, valid, test = parts(dataset, user)
    rest = [str(one) for one in dataset.item_ids if str(one) not in {*train, *valid, *test}]
    after = with_words(
        dataset,
        words(
            (user, rest[5], True),
            (user, train[1], False),
            (user, rest[2], True),
            (user, train[0], True),
            (user, rest[7], None),
            (user, rest[8], True),
            (user, rest[8], False),
        ),
    )
    assert parts(after, user) == [[train[0], *train[2:], rest[5], rest[2]], valid, test]
    others = [one for one in dataset.interactions.user_ids if one != user]
    assert [parts(after, one) for one in others] == [parts(dataset, one) for one in others]
    new = new_clicks(after.interactions.train, dataset.interactions.train)
    assert after.interactions.train.items[new].tolist() == [
        dataset.item_ids.to_list().index(one) for one in (rest[5], rest[2])
    ]


@pytest.mark.parametrize("liked", [True, False, None])
def test_what_is_spoken_of_is_judged_no_more(dataset, liked):
    user = next(one for one in dataset.interactions.user_ids if all(parts(dataset, one)))
    train, valid, test = parts(dataset, user)
    after = with_words(dataset, words((user, valid[0], liked), (user, test[0], liked)))
    more = [valid[0], test[0]] if liked else []
    assert parts(after, user) == [[*train, *more], valid[1:], test[1:]]


def test_words_of_others_count_for_nothing(dataset):
    after = with_words(dataset, words(("nobody", "i1", True), ("u1", "nothing", True)))
    assert after is dataset


def test_the_fingerprint_is_that_of_what_was_said(dataset):
    user, item = dataset.interactions.user_ids[0], str(dataset.item_ids[0])
    one, other, again = (words((user, item, liked)) for liked in (True, None, True))
    assert with_words(dataset, one).fingerprint == with_words(dataset, again).fingerprint
    assert len({with_words(dataset, x).fingerprint for x in (one, other)}) == 2
    assert words_fingerprint(one) == words_fingerprint(again) != words_fingerprint(other)
    assert dataset.fingerprint != with_words(dataset, one).fingerprint


def test_saying_it_twice_changes_nothing(dataset):
    user = dataset.interactions.user_ids[2]
    train, *_ = parts(dataset, user)
    said = words((user, train[0], False), (user, "i9", True), (user, train[1], True))
    once = with_words(dataset, said)
    twice = with_words(once, said)
    assert np.array_equal(once.interactions.train.items, twice.interactions.train.items)


def test_a_new_click_is_in_the_situation_that_was_told():
    """As a click of the data would be: what no train click has, or nobody said, is unknown."""
    dataset = Synthetic(users=20, items=30, clicks=8, situations=3).load()
    user = dataset.interactions.user_ids[4]
    known = {item for part in parts(dataset, user) for item in part}
    new = [f"i{n}" for n in range(30) if f"i{n}" not in known][:4]
    rows = [(user, item, True) for item in new]
    said = words(*rows).with_columns(pl.Series("context situation", ["2", "0", "night", None]))
    after = with_words(dataset, said).interactions.train
    at = new_clicks(after, dataset.interactions.train)
    assert [f"i{n}" for n in after.items[at].tolist()] == new
    assert after.context[at].tolist() == [[2], [0], [3], [3]]
    old = np.setdiff1d(np.arange(len(after)), at.numpy())
    assert after.context[old].equal(dataset.interactions.train.context)
    untold = with_words(dataset, words(*rows))
    assert untold.interactions.train.context[at].tolist() == [[3]] * 4
    assert untold.fingerprint != with_words(dataset, said).fingerprint
    assert words_fingerprint(said) != words_fingerprint(words(*rows))


def test_who_joins_stands_last_and_in_train_alone(dataset):
    said = words(
        ("ann", None, None),
        ("ann", "i4", True),
        ("bob", "i1", True),
        ("ann", "i2", True),
        (None, None, None),
        (dataset.interactions.user_ids[0], None, None),
    )
    after = with_words(dataset, said)
    ids = after.interactions.user_ids.to_list()
    assert ids[:20] == dataset.interactions.user_ids.to_list()
    assert len(ids) == 22
    assert ids[20] == "ann"
    assert parts(after, "ann") == [["i4", "i2"], [], []]
    assert parts(after, ids[21]) == [[], [], []]
    assert [parts(after, one) for one in ids[:20]] == [parts(dataset, one) for one in ids[:20]]
    assert after.truth is None
    assert with_words(dataset, said.tail(1)) is dataset
    assert with_words(dataset, said.head(1)).fingerprint != dataset.fingerprint
    twice = with_words(after, said.head(4))
    assert twice.interactions.train.items.equal(after.interactions.train.items)


def test_some_users_and_items_of_a_dataset():
    dataset = Synthetic(users=20, items=30, clicks=8, situations=3).load()
    users, items = torch.tensor([3, 9]), torch.arange(0, 30, 2)
    some = dataset.of(users, items)
    for user in some.interactions.user_ids:
        even = [[one for one in part if int(one[1:]) % 2 == 0] for part in parts(dataset, user)]
        assert parts(some, user) == even
    assert some.features.values["text"].equal(dataset.features.values["text"][items])
    train = dataset.interactions.train
    kept = torch.isin(train.users, users) & (train.items % 2 == 0)
    assert some.interactions.train.context.equal(train.context[kept])
