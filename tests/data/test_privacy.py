"""Users under hashes, and users who were never there."""

import hashlib
import hmac

import polars as pl
import pytest

from fusionlab.data.formats.folder import Folder
from fusionlab.data.formats.mmrec import MMRec
from fusionlab.data.formats.recbole import RecBole
from fusionlab.data.privacy import Privacy
from fusionlab.errors import FusionlabError

KEY = "a secret of 16 bytes or more"
ROWS = [(f"u{user}", f"i{(user * 3 + item) % 9}", item) for user in range(8) for item in range(6)]


@pytest.fixture
def key(tmp_path):
    (tmp_path / "key").write_text(KEY + "\n")
    return str(tmp_path / "key")


def write(folder, kind, rows=ROWS):
    folder.mkdir()
    frame = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    if kind is Folder:
        frame.write_csv(folder / "interactions.csv")
        return Folder, {"path": str(folder)}
    if kind is RecBole:
        heads = ["user_id:token", "item_id:token", "timestamp:float"]
    else:
        heads = ["userID", "itemID", "timestamp"]
        frame = frame.with_columns(pl.col("user", "item").str.slice(1).cast(pl.Int64))
    frame.rename(dict(zip(frame.columns, heads, strict=True))).write_csv(
        folder / "shop.inter", separator="\t"
    )
    return kind, {"path": str(folder)}


def hashed(user):
    return hmac.new(KEY.encode(), user.encode(), hashlib.sha256).hexdigest()[:32]


@pytest.mark.parametrize("kind", [Folder, RecBole, MMRec])
def test_users_are_known_by_their_hash_and_nothing_else_changes(tmp_path, key, kind):
    cls, options = write(tmp_path / "shop", kind)
    plain = cls(**options).load()
    secret = cls(**options, privacy=Privacy(hash_key=key)).load()
    ids = [str(one) for one in plain.interactions.user_ids]
    assert secret.interactions.user_ids.to_list() == sorted(hashed(user) for user in ids)
    assert secret.item_ids.equals(plain.item_ids)
    clicks = [dataset.interactions for dataset in (plain, secret)]
    counts = [one.train.counts + one.valid.counts for one in clicks]
    assert sorted(counts[0].tolist()) == sorted(counts[1].tolist())
    assert secret.known_as(ids[0]) == secret.known_as(hashed(ids[0])) == hashed(ids[0])
    assert secret.known_as("nobody") == hashed("nobody")
    assert plain.known_as(ids[0]) == ids[0]


def test_the_key_may_be_in_the_environment_and_is_in_no_print(tmp_path, key, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", KEY)
    one, other = (Privacy(hash_key=place).pseudonyms() for place in (key, "env:SHOP_KEY"))
    assert one.of("u1") == other.of("u1") == hashed("u1")
    assert one.fingerprint == other.fingerprint
    assert "secret" not in repr(one) + repr(Privacy(hash_key="env:SHOP_KEY"))
    monkeypatch.setenv("SHOP_KEY", "another secret of 16 bytes")
    another = Privacy(hash_key="env:SHOP_KEY").pseudonyms()
    assert another.of("u1") != one.of("u1")
    assert another.fingerprint != one.fingerprint


@pytest.mark.parametrize("kind", [Folder, RecBole, MMRec])
@pytest.mark.parametrize("by_hash", [False, True])
def test_who_is_left_out_was_never_there(tmp_path, key, kind, by_hash):
    """Not in the counts, not in a draw, and no item that nobody else has clicked stays."""
    rows = [*ROWS, ("u5", "i99", 7)]
    cls, with_all = write(tmp_path / "all", kind, rows)
    _, without = write(tmp_path / "rest", kind, [row for row in rows if row[0] != "u5"])
    gone = "u5" if kind is not MMRec else "5"
    (tmp_path / "gone.txt").write_text(f"\n{hashed(gone) if by_hash else gone}\nnobody\n")
    users = {"without_users": str(tmp_path / "gone.txt")}
    secret = {"hash_key": key} if by_hash else {}
    found = cls(**with_all, k_core=2, privacy=Privacy(**users, **secret)).load()
    never = cls(**without, k_core=2, privacy=Privacy(**secret)).load()
    assert found.fingerprint == never.fingerprint
    assert found.notes == never.notes
    for part in ("train", "valid"):
        one, other = (getattr(dataset.interactions, part) for dataset in (found, never))
        assert one.items.equal(other.items)
        assert one.indptr.equal(other.indptr)
    assert cls(**with_all).load().fingerprint != found.fingerprint


def test_errors_name_the_rows_of_the_file(tmp_path):
    cls, options = write(tmp_path / "shop", Folder)
    file = tmp_path / "shop" / "interactions.csv"
    file.write_text(file.read_text().replace("u7,i8,5", "u7,i8,soon"))
    (tmp_path / "gone.txt").write_text("u0\nu3\n")
    said = []
    for privacy in (Privacy(), Privacy(without_users=str(tmp_path / "gone.txt"))):
        with pytest.raises(FusionlabError, match="found 'soon'") as error:
            cls(**options, privacy=privacy).load()
        said.append(str(error.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("privacy", "message"),
    [
        (Privacy(hash_key="nowhere"), "hash_key: nowhere: cannot be read"),
        (
            Privacy(hash_key="env:NOT_THERE"),
            "hash_key: env:NOT_THERE: found 0 bytes, expected a se",
        ),
        (Privacy(without_users="nowhere"), "without_users: nowhere: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, privacy, message):
    cls, options = write(tmp_path / "shop", Folder)
    with pytest.raises(FusionlabError, match=message):
        cls(**options, privacy=privacy).load()
