"""Context columns of clicks: codes over train values, aligned to clicks, in the fingerprint."""

import polars as pl
import pytest

from fusionlab.data.formats.folder import Folder
from fusionlab.data.formats.mmrec import MMRec
from fusionlab.data.formats.recbole import RecBole
from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.inspect import inspect
from fusionlab.data.situations import Situations
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings

VISITS = """user,item,time,split,device,hour
ann,mug,3,train,phone,9
ann,cup,2,train,tv,21
ann,jug,5,test,radio,9
bob,jug,1,train,,10
bob,mug,4,valid,tv,
bob,mug,6,valid,phone,9
"""


@pytest.fixture
def visits(home):
    (home / "visits").mkdir()
    (home / "visits/interactions.csv").write_text(VISITS)
    (home / "visits/items.csv").write_text("item\nmug\ncup\njug\n")
    return home


def load(**options):
    return Folder(path="visits", context=("device", "hour"), **options).load()


def told(data, clicks):
    """(user, item): the values of each context column, None for unknown."""
    values = data.interactions.situations.values
    return {
        (data.interactions.user_ids[user], data.item_ids[item]): tuple(
            dict(enumerate(known)).get(code)
            for known, code in zip(values.values(), row, strict=True)
        )
        for user, item, row in zip(
            clicks.users.tolist(), clicks.items.tolist(), clicks.context.tolist(), strict=True
        )
    }


def test_each_click_keeps_its_situation(visits):
    data = load()
    assert data.interactions.situations == Situations(
        {"device": ("phone", "tv"), "hour": ("9", "10", "21")}, ("device", "hour")
    )
    assert told(data, data.interactions.train) == {
        ("ann", "cup"): ("tv", "21"),
        ("ann", "mug"): ("phone", "9"),
        ("bob", "jug"): (None, "10"),
    }


def test_what_train_does_not_have_is_unknown_and_the_oldest_click_of_a_pair_stays(visits):
    data = load()
    assert told(data, data.interactions.valid) == {("bob", "mug"): ("tv", None)}
    test = data.interactions.test.open(Openings(), "test of context")
    assert told(data, test) == {("ann", "jug"): (None, "9")}


def test_the_k_core_and_a_sample_of_users_keep_situations_beside_their_clicks(visits):
    lines = [f"u{u},i{i},{u + i},{u}d,{i}" for u in range(6) for i in range(6)]
    lines += ["u9,i0,1,9d,0", "u0,i9,9,0d,9"]
    text = "\n".join(["user,item,time,device,hour", *lines])
    (visits / "visits/interactions.csv").write_text(text)
    (visits / "visits/items.csv").unlink()
    (visits / "visits/items.csv").write_text("item\ni9\ni5\ni4\ni3\ni2\ni1\ni0\n")
    data = load(k_core=3)
    for clicks in (
        data.interactions.train,
        data.interactions.train.only(pl.Series([1, 3]).to_torch()),
    ):
        found = told(data, clicks)
        assert len(found) == len(clicks) > 0
        for (user, item), situation in found.items():
            assert situation == (f"{user[1:]}d", item[1:])


def test_context_is_part_of_the_content_only_where_it_is_asked_for(visits):
    without, with_it = Folder(path="visits").load(), load()
    assert without.interactions.situations is None
    assert without.interactions.train.context is None
    file = visits / "visits/interactions.csv"
    file.write_text(VISITS.replace("tv,21", "phone,21"))
    assert Folder(path="visits").load().fingerprint == without.fingerprint
    assert len({without.fingerprint, with_it.fingerprint, load().fingerprint}) == 3


def test_a_situation_in_words(visits):
    situations = load().interactions.situations
    assert situations.code({"hour": "10", "device": "tv"}).tolist() == [1, 1]
    assert situations.code({"device": "radio"}).tolist() == situations.unknown.tolist() == [2, 3]
    with pytest.raises(FusionlabError, match=r"context: found 'devise'.*did you mean 'device'"):
        situations.code({"devise": "tv"})


def test_columns_that_are_not_there_or_named_twice_are_refused(visits):
    with pytest.raises(FusionlabError, match=r"no column 'devise'.*did you mean 'device'"):
        Folder(path="visits", context=("devise",)).load()
    with pytest.raises(FusionlabError, match="context: found 'hour' 2 times"):
        Folder(path="visits", context=("hour", "hour")).load()


def test_other_formats_name_context_too(home):
    (home / "clips.inter").write_text(
        "userID\titemID\tx_label\tplace\n0\t0\t0\thome\n0\t1\t1\twork\n0\t2\t2\thome\n"
    )
    data = MMRec(path=".", context=("place",)).load()
    assert data.interactions.situations.values == {"place": ("home",)}
    (home / "films").mkdir()
    rows = [f"u{u}\ti{i}\t{'ab'[i % 2]}" for u in range(2) for i in range(10)]
    (home / "films/films.inter").write_text(
        "\n".join(["user_id:token\titem_id:token\tmood:token", *rows])
    )
    data = RecBole(path="films", context=("mood",)).load()
    assert set(told(data, data.interactions.train).values()) == {("a",), ("b",)}
    assert all(
        "ab"[int(i[1:]) % 2] == m for (_, i), (m,) in told(data, data.interactions.train).items()
    )


def test_figures_of_a_dataset_count_the_values(visits):
    assert inspect(load()).clicks.context == {"device": 2, "hour": 3}
    assert inspect(Folder(path="visits").load()).clicks.context == {}
    assert inspect(Synthetic(users=5, items=20, clicks=10, situations=2).load()).clicks.context == {
        "situation": 2
    }
