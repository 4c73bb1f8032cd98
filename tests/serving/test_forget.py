"""Forgetting a user: not a byte of theirs is left, and a model retrained is one without them."""

import random

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock
from safetensors.torch import load_file

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.serving.events import Event
from fusionlab.serving.explained_list import explain_list
from fusionlab.serving.forget import forget
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.serving.update import update
from fusionlab.studies import datasets
from fusionlab.studies import update as update_module
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.trained import load_trained

GONE = "gone.person@home"
PRIVATE = [b"gone.person", b"their-list", b"said-in-private"]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def rows():
    draw = random.Random(3)
    users = [f"user{n}@home" for n in range(24)]
    found = [(user, f"i{item:02d}") for user in users for item in draw.sample(range(30), 9)]
    theirs = [(GONE, f"i{item:02d}") for item in (1, 5, 9, 12, 20, 28, 77, 78)]
    return found[:100] + theirs[:5] + found[100:] + theirs[5:]  # 77 and 78 nobody else clicked


def shop(folder, clicks, *, features):
    folder.mkdir()
    frame = pl.DataFrame(clicks, schema=["user", "item"], orient="row")
    frame.write_csv(folder / "interactions.csv")
    if features:
        items = [f"i{item:02d}" for item in [*range(30), 77, 78]]
        (folder / "features").mkdir()
        draw = np.random.default_rng(0)
        for name, width in (("text", 6), ("image", 4)):
            x = draw.normal(size=(len(items), width)).astype(np.float32)
            x[-2:] *= 50  # scales that know of them would be others
            np.save(folder / "features" / f"{name}.npy", x)
            (folder / "features" / f"{name}.ids.txt").write_text("\n".join(items))
    return {"name": "folder", "path": str(folder)}


def run(store, dataset, recommender):
    experiment = experiment_from(
        {
            "dataset": dataset,
            "recommender": recommender,
            "fusion": "gated",
            "dim": 8,
            "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.01},
            "evaluation": {"cutoffs": [5]},
        }
    )
    return run_experiment(experiment, store)


def log(record, store, users, *, gone=True):
    with open_feedback(record.id, store) as log:
        for n, user in enumerate(users):
            log.add(Event("click", user, f"i{n % 30:02d}", float(n)))
            log.add(Event("dislike", user, f"i{(n + 3) % 30:02d}", 100.0 + n))
        if gone:
            told = {"words": "said-in-private"}
            log.add(
                *(
                    Event("click", GONE, f"i{n}", 5.0, list="their-list", context=told)
                    for n in (10, 11, 14)
                )
            )


def everything(root):
    """All bytes under a folder: raw, and as what reads the files sees them."""
    for file in sorted(root.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(root)).encode()
            yield file.read_bytes()
            if file.suffix == ".parquet":
                yield pl.read_parquet(file).write_csv().encode()


def found_in(root, words):
    whole = b"\n".join(everything(root))
    return [word for word in words if word in whole]


OTHERS = [f"user{n}@home" for n in range(24)]


def test_nothing_of_a_user_is_left(store, tmp_path, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    dataset = shop(tmp_path / "shop", rows(), features=False)
    first, second = run(store, dataset, "bpr_mf"), run(store, dataset, "popularity")
    elsewhere = run(store, shop(tmp_path / "other", rows()[1:], features=False), "popularity")
    log(first, store, OTHERS)
    held_open = open_feedback(first.id, store)  # so that -wal and -shm are there
    new = update(first.id, store, FineTuning()).record
    unfinished = store.partial("f" * 64)
    new.words().write_parquet(unfinished / "words.parquet")
    before = {one.id: len(one.per_user()) for one in (first, second, new)}
    assert found_in(store.root, PRIVATE) == PRIVATE
    assert GONE in new.words()["user"].to_list()
    assert len([*(store.root / "feedback").iterdir()]) == 3

    (store.folder(elsewhere.id)).rename(tmp_path / "aside")
    found = forget(new.id[:10], GONE, store)
    assert found_in(store.root, PRIVATE) == []
    assert (found.events, found.under_way) == (3, [])
    assert found.rows >= 3 * 2
    assert sorted(found.runs) == sorted([first.id, second.id, new.id])
    assert {one.id: len(one.per_user()) for one in (first, second, new)} != before
    assert len(held_open.events()) == 48
    assert set(new.words()["user"]) <= set(OTHERS)
    with pytest.raises(FusionlabError, match="found 'nobody'"):
        forget(new.id, "nobody", store)
    assert Service(load_trained(second.id, store)).recommend([OTHERS[0]], k=3)

    (tmp_path / "aside").rename(store.folder(elsewhere.id))
    forget(new.id, GONE, store)
    assert GONE in elsewhere.per_user()["user"].to_list()  # other people, be their names alike


def test_a_folder_has_many_spellings(store, tmp_path, monkeypatch):
    dataset = shop(tmp_path / "shop", rows(), features=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    spelled = [dataset["path"], "shop/", "other/../shop"]
    records = [
        run(store, {**dataset, "path": path}, recommender)
        for path, recommender in zip(spelled, ["popularity", "bpr_mf", "ease"], strict=True)
    ]
    assert {one.config["dataset"]["path"] for one in records} == {*spelled}
    found = forget(records[0].id, GONE, store)
    assert sorted(found.runs) == sorted({one.id for one in records})
    assert found_in(store.root, PRIVATE) == []


def test_old_tables_are_overwritten_and_not_just_unlinked(store, tmp_path):
    record = run(store, shop(tmp_path / "shop", rows(), features=False), "popularity")
    with (store.folder(record.id) / "per_user.parquet").open("rb") as old:
        assert b"gone.person" in old.read()
        forget(record.id, GONE, store)
        old.seek(0)
        assert not any(old.read())


def test_a_run_under_way_is_said(store, tmp_path):
    record = run(store, shop(tmp_path / "shop", rows(), features=False), "popularity")
    store.partial("e" * 64)
    file = store.lock("e" * 64).lock_file
    with FileLock(file):
        told = CliRunner().invoke(main, ["forget", record.id, GONE, "--runs", str(store.root)])
    assert told.exit_code == 0, told.output
    assert "forgot 0 events and 2 rows" in told.output
    assert "--without-users FILE" in told.output
    assert "1 runs are under way and were not touched" in told.output


@pytest.mark.parametrize("dropped_from", ["source", "file"])
@pytest.mark.parametrize("recommender", ["bpr_mf", "content", "hybrid", "ease"])
def test_retrained_without_them_the_model_is_one_that_never_held_them(
    tmp_path, recommender, dropped_from, monkeypatch
):
    """Bit for bit, with the feedback of the others: whether the source drops the user or a file."""
    features = recommender in ("content", "hybrid")
    held = RunStore(tmp_path / "held")
    never = RunStore(tmp_path / "never")
    rest = [row for row in rows() if row[0] != GONE]
    dataset = shop(tmp_path / "shop", rows(), features=features)
    record = run(held, dataset, recommender)
    log(record, held, OTHERS)
    forget(record.id, GONE, held)
    without = None
    if dropped_from == "source":
        pl.DataFrame(rest, schema=["user", "item"], orient="row").write_csv(
            tmp_path / "shop" / "interactions.csv"
        )
    else:
        without = str(tmp_path / "gone.txt")
        (tmp_path / "gone.txt").write_text(GONE)
    datasets._datasets.clear()  # as a new process would begin
    found = update(record.id, held, None, without_users=without)
    assert found.before is None
    assert found.after is not None

    clean = run(never, shop(tmp_path / "clean", rest, features=features), recommender)
    log(clean, never, OTHERS, gone=False)
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    kept = update(clean.id, never, None).record
    states = [load_file(one.folder / "model.safetensors") for one in (found.record, kept)]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    files = [(one.folder / "model.safetensors").read_bytes() for one in (found.record, kept)]
    assert files[0] == files[1]
    assert found.record.metrics == kept.metrics


COMER = "new.comer@home"
JOINED = [b"new.comer", b"joined-list"]


def log_newcomer(record, store):
    """Clicks of somebody whom the dataset does not have, before and between those of others."""
    with open_feedback(record.id, store, new_users=True) as log:
        times = (-1.0, 2.5, 7.5, 11.5)
        log.add(
            *(
                Event("click", COMER, f"i{2 * n:02d}", t, list="joined-list")
                for n, t in enumerate(times)
            )
        )


@pytest.mark.parametrize("recommender", ["bpr_mf", "content"])
def test_who_joined_and_is_forgotten_leaves_a_nameless_row(
    store, tmp_path, recommender, monkeypatch
):
    """A model that has a vector of them can still be brought back, and serves the others."""
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    record = run(store, shop(tmp_path / "shop", rows(), features=True), recommender)
    log(record, store, OTHERS, gone=False)
    log_newcomer(record, store)
    new = update(record.id, store, None).record
    assert new.words().filter(pl.col("user") == COMER).height > 1
    before = Service(load_trained(new.id, store)).recommend([OTHERS[3]], k=5)
    assert forget(new.id, COMER, store).events == 4
    assert found_in(store.root, JOINED) == []
    assert forget(new.id, OTHERS[0], store).rows > 0  # another one later: the nameless row stays
    back = load_trained(new.id, store)
    assert back.dataset.interactions.n_users == new.dataset["users"] == 26
    after = Service(back).recommend([OTHERS[3]], k=5)
    assert [one.item for one in before[0].items] == [one.item for one in after[0].items]
    with pytest.raises(FusionlabError, match=COMER):
        Service(back, log=open_feedback(new.id, store)).recommend([COMER])


@pytest.mark.parametrize("how", ["forgotten", "file"])
@pytest.mark.parametrize("recommender", ["bpr_mf", "content", "ease"])
def test_retrained_without_who_joined_the_model_is_one_that_never_held_them(
    tmp_path, recommender, how, monkeypatch
):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    dataset = shop(tmp_path / "shop", rows(), features=True)
    states = []
    for place in ("held", "never"):
        store = RunStore(tmp_path / place)
        record = run(store, dataset, recommender)
        log(record, store, OTHERS, gone=False)
        without = None
        if place == "held":
            log_newcomer(record, store)
            assert COMER in update(record.id, store, None).record.words()["user"].to_list()
            if how == "forgotten":
                forget(record.id, COMER, store)
            else:
                without = str(tmp_path / "gone.txt")
                (tmp_path / "gone.txt").write_text(COMER)
        new = update(record.id, store, None, without_users=without).record
        assert COMER not in new.words()["user"].to_list()
        assert new.dataset["users"] == 25
        states.append(((new.folder / "model.safetensors").read_bytes(), new.metrics))
    assert states[0] == states[1]


def test_who_is_as_if_never_there_is_not_served_from_the_log(store, tmp_path):
    (tmp_path / "gone.txt").write_text(GONE)
    gone = {"privacy": {"without_users": str(tmp_path / "gone.txt")}}
    record = run(store, shop(tmp_path / "shop", rows(), features=True) | gone, "content")
    with open_feedback(record.id, store, new_users=True) as log:
        log.add(Event("click", GONE, "i01"))
        with pytest.raises(FusionlabError, match=f"found '{GONE}'"):
            Service(load_trained(record.id, store), log=log).recommend([GONE])


def test_a_dataset_that_has_changed_is_retrained_without_any_feedback(tmp_path):
    """The same as a run on the dataset as it is now; there is nothing to judge by."""
    store, never = RunStore(tmp_path / "runs"), RunStore(tmp_path / "never")
    record = run(store, shop(tmp_path / "shop", rows(), features=True), "content")
    (tmp_path / "gone.txt").write_text(GONE)
    found = update(record.id, store, None, without_users=str(tmp_path / "gone.txt"))
    assert (found.before, found.after) == (None, None)
    rest = [row for row in rows() if row[0] != GONE]
    clean = run(never, shop(tmp_path / "clean", rest, features=True), "content")
    files = [(one.folder / "model.safetensors").read_bytes() for one in (found.record, clean)]
    assert files[0] == files[1]
    assert found.record.metrics == clean.metrics
    assert GONE not in found.record.per_user()["user"].to_list()
    lines = ["user,item", *(f"{user},{item}" for user, item in rest)]
    (tmp_path / "shop" / "interactions.csv").write_text("\n".join(lines))
    datasets._datasets.clear()
    with pytest.raises(FusionlabError, match=r"have changed since.*--retrain"):
        update(record.id, store, FineTuning())


def test_the_record_names_the_file_as_it_was_typed(store, tmp_path, monkeypatch):
    """As it names the folder of the dataset: where either stands on a machine is in no record."""
    shop(tmp_path / "shop", rows(), features=False)
    monkeypatch.chdir(tmp_path)
    record = run(store, {"name": "folder", "path": "shop"}, "popularity")
    (tmp_path / "gone.txt").write_text(GONE)
    asked = ["update", record.id, "--retrain", "--without-users", "gone.txt", "--runs", "runs"]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 0, told.output
    (new,) = (store.load(one) for one in store.runs() if one != record.id)
    assert new.config["dataset"]["privacy"]["without_users"] == "gone.txt"
    assert str(tmp_path) not in (new.folder / "record.json").read_text()


def test_under_hashes_no_id_is_in_the_store(store, tmp_path, monkeypatch):
    """Not in records, tables or logs, while users are served by the ids of the data."""
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    (tmp_path / "key").write_text("a secret of 16 bytes or more")
    hashed = {"privacy": {"hash_key": str(tmp_path / "key")}}
    record = run(store, shop(tmp_path / "shop", rows(), features=True) | hashed, "content")
    log(record, store, OTHERS)
    log_newcomer(record, store)
    new = update(record.id, store, FineTuning()).record
    assert new is not None
    assert found_in(store.root, [b"@home", b"gone.person", b"new.comer", b"a secret"]) == []
    assert forget(new.id, COMER, store).events == 4
    assert found_in(store.root, [b"joined-list"]) == []
    for asked in (
        lambda: forget(new.id, "nobody", store),
        lambda: Service(load_trained(new.id, store)).recommend(["nobody"]),
        lambda: explain_list(load_trained(new.id, store), "nobody"),
    ):
        with pytest.raises(FusionlabError, match="found 'nobody'"):  # as it was typed
            asked()
    trained = load_trained(new.id, store)
    assert new.dataset["user_key"] == trained.dataset.pseudonyms.fingerprint
    words = ["--runs", str(store.root)]
    lists = CliRunner().invoke(main, ["recommend", new.id, "--user", GONE, "--k", "3", *words])
    assert lists.exit_code == 0, lists.output
    with open_feedback(new.id, store) as opened:
        service = Service(trained, log=opened)
        (one,) = service.recommend([GONE], k=3)
        assert one == service.recommend([trained.dataset.known_as(GONE)], k=3)[0]
        assert one.user != GONE
        assert not {"i10", "i11", "i14"} & {item.item for item in one.items}
        assert len(opened.events(GONE)) == 3
    found = CliRunner().invoke(main, ["forget", new.id, GONE, *words])
    assert "forgot 3 events" in found.output
    assert found_in(store.root, [trained.dataset.known_as(GONE).encode(), b"their-list"]) == []


def test_forgetting_does_not_make_a_damaged_model_whole(store, tmp_path):
    dataset = shop(tmp_path / "shop", rows(), features=False)
    record = run(store, dataset, "bpr_mf")
    model = store.folder(record.id) / MODEL_FILE
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert forget(record.id, GONE, store).rows > 0
    with pytest.raises(FusionlabError, match=r"model\.safetensors: was cut off or changed"):
        load_trained(record.id, store)
    assert store.load(record.id).per_user()["user"].is_in([GONE]).sum() == 0
