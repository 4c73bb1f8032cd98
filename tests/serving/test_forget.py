"""Forgetting a user: not a byte of theirs is left, and no other data's user goes with them."""

import re
import shutil

import polars as pl
import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock
from forgetting import COMER, GONE, OTHERS, PRIVATE, found_in, log, log_newcomer, rows, run, shop

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.serving.events import Event
from fusionlab.serving.explained_list import explain_list
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.forget import forget
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.serving.update import update
from fusionlab.studies import update as update_module
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.trained import load_trained


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


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


def asked_to_forget(run, store, user=GONE):
    return CliRunner().invoke(main, ["forget", run.id, user, "--runs", str(store.root)])


@pytest.fixture
def two_spellings(store, tmp_path, monkeypatch):
    """Runs on a folder that one of them named from where it stands, and we are elsewhere now."""
    dataset = shop(tmp_path / "shop", rows(), features=False)
    (tmp_path / "elsewhere").mkdir()

    def runs(**options):
        monkeypatch.chdir(tmp_path)
        relative = run(store, dataset | {"path": "shop"}, "popularity")
        absolute = run(store, dataset | options, "bpr_mf")
        monkeypatch.chdir(tmp_path / "elsewhere")
        return relative, absolute

    return runs


@pytest.mark.parametrize("named", [0, 1])
def test_from_elsewhere_the_same_content_tells_the_same_people(store, two_spellings, named):
    told = asked_to_forget(two_spellings()[named], store)
    assert (told.exit_code, found_in(store.root, PRIVATE)) == (0, []), told.output
    assert "rows of gone.person@home in 2 runs" in told.output


@pytest.mark.parametrize("named", [0, 1])
def test_from_elsewhere_nobody_is_forgotten_in_part_without_a_word(
    store, two_spellings, named, tmp_path, monkeypatch
):
    runs = two_spellings(k_core=2)  # the same people, but nothing tells so from here
    told = asked_to_forget(runs[named], store)
    assert told.exit_code == 1
    assert f"'{GONE}' is not forgotten" in told.output
    place = tmp_path / "shop" if named == 0 else "shop (not found from here)"
    assert f"dataset folder at {place}: 1 runs, {runs[1 - named].id[:12]} among" in told.output
    assert GONE in runs[1 - named].per_user()["user"].to_list()
    assert GONE not in runs[named].per_user()["user"].to_list()
    if named:
        monkeypatch.chdir(tmp_path)
    told = asked_to_forget(runs[1 - named], store)
    assert (told.exit_code, found_in(store.root, PRIVATE)) == (0, []), told.output


def test_who_has_the_same_name_in_other_data_is_told_and_not_touched(store, tmp_path):
    ours = run(store, shop(tmp_path / "shop", rows(), features=False), "popularity")
    theirs = run(store, shop(tmp_path / "other", rows()[1:], features=False), "popularity")
    with open_feedback(theirs.id, store) as log:
        log.add(Event("click", GONE, "i10"))
    before = theirs.per_user()
    for n, rows_left in enumerate([2, 0]):
        assert len(theirs.per_user().filter(pl.col("user") == GONE)) == rows_left
        told = asked_to_forget(ours, store)
        assert told.exit_code == 1
        assert f"dataset folder at {tmp_path / 'other'}: 1 runs, {theirs.id[:12]}" in told.output
        if n == 0:
            assert theirs.per_user().equals(before)
            store.forget_user(theirs.id, [GONE])  # then the log alone still has them
    with open_feedback(theirs.id, store) as log:
        assert len(log.events(GONE)) == 1
    assert asked_to_forget(theirs, store).exit_code == 0
    assert asked_to_forget(ours, store).exit_code == 0
    assert found_in(store.root, PRIVATE) == []


def test_what_cannot_be_searched_is_told(store, tmp_path):
    """Users under a key that is another or none by now, and a log that no run has."""
    ours = run(store, shop(tmp_path / "shop", rows(), features=False), "popularity")
    (tmp_path / "key").write_text("a secret of 16 bytes or more")
    other = shop(tmp_path / "other", rows()[1:], features=False)
    hashed = run(store, other | {"privacy": {"hash_key": str(tmp_path / "key")}}, "popularity")
    assert asked_to_forget(ours, store, OTHERS[0]).exit_code == 1  # under the key they are found
    forget(hashed.id, OTHERS[0], store)
    assert forget(ours.id, OTHERS[0], store).elsewhere == {}
    for change, said in (
        (
            lambda: (tmp_path / "key").write_text("another secret of 16 bytes"),
            "found another key in",
        ),
        (lambda: (tmp_path / "key").unlink(), "hash_key: .*cannot be read"),
    ):
        change()
        (place,) = forget(ours.id, GONE, store).elsewhere
        assert re.search(f"at {tmp_path / 'other'}, which cannot be searched .*{said}", place)
    shutil.rmtree(hashed.folder)
    (store.root / "feedback").mkdir(exist_ok=True)
    with FeedbackLog(store.root / "feedback" / f"{hashed.id}.sqlite") as log:
        log.add(Event("click", GONE, "i10"))
    told = asked_to_forget(ours, store)
    assert told.exit_code == 1
    assert f"{hashed.id}.sqlite, a log whose runs are gone: delete it" in told.output
    (store.root / "feedback" / f"{hashed.id}.sqlite").unlink()
    assert asked_to_forget(ours, store).exit_code == 0


def test_items_of_a_classifier_are_no_users(store):
    users = {"users": 30, "items": 60, "clicks": 8}
    clicks = run(store, {"name": "synthetic", **users}, "popularity")
    labels = {"name": "synthetic", "task": "classification", "classes": 2, "items": 60}
    classifier = run_experiment(
        experiment_from(
            {"task": "classification", "dataset": labels, "dim": 4, "training": {"epochs": 1}}
        ),
        store,
    )
    item = classifier.per_user()["user"][0]
    with open_feedback(clicks.id, store, new_users=True) as log:
        log.add(Event("click", item, "i10"))
    before = classifier.per_user()
    found = forget(clicks.id, item, store)
    assert (found.events, found.rows, found.runs, found.elsewhere) == (1, 0, [clicks.id], {})
    assert classifier.per_user().equals(before)
