"""A run that was damaged on disk is refused; one whose loss is no number leaves its batch."""

import json
import random
import zipfile
from pathlib import Path

import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.sealed import SUMS, note_sums, sums
from fusionlab.errors import FusionlabError
from fusionlab.studies import user_tables
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import DIVERGED_FILE, READ_BACK, RunStore
from fusionlab.studies.trained import load_trained
from fusionlab.training import loop
from fusionlab.training.diverged import DivergedError
from fusionlab.training.ranking import RankingTask

SMALL = {
    "dataset": {"name": "synthetic", "users": 50, "items": 40, "clicks": 10},
    "dim": 8,
    "training": {"epochs": 4, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
}
CLASSES = {"task": "classification", "dataset": {**SMALL["dataset"], "task": "classification"}}


def flip(file, draw):
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def test_a_flipped_bit_of_a_run_is_never_read_silently(tmp_path):
    store, draw = RunStore(tmp_path), random.Random(0)
    record = run_experiment(experiment_from(SMALL), store)
    folder, refusals = store.folder(record.id), []
    for name in ("record.json", *READ_BACK[:2]):
        whole = (folder / name).read_bytes()
        for _ in range(5):
            flip(folder / name, draw)
            try:
                found = load_trained(record.id, store).record
                found.per_user()
            except FusionlabError as error:
                refusals.append(str(error))
            else:
                assert (name, found) == ("record.json", record)  # white space
            (folder / name).write_bytes(whole)
    assert refusals
    assert all("delete the folder and run again" in said for said in refusals)
    assert load_trained(record.id, store).record == record


def emptied(file):
    file.write_text("")


def garbled(file):
    file.write_bytes(bytes(range(256)))


def a_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [Path.unlink, emptied, garbled, a_folder])
def test_a_run_that_lost_its_digests_is_refused(tmp_path, damage):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL | {"recommender": "popularity"}), store)
    assert load_trained(record.id, store).record == record
    damage(record.folder / SUMS)
    lost = f"{SUMS}: found no SHA-256 of {READ_BACK[0]}, {READ_BACK[1]}, expected one of each"
    with pytest.raises(FusionlabError, match=lost):
        load_trained(record.id, store)


@pytest.mark.parametrize("name", READ_BACK[:2])
def test_a_digest_that_is_not_there_is_named(tmp_path, name):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL | {"recommender": "popularity"}), store)
    known = sums(record.folder)
    del known[name]
    note_sums(record.folder, known)
    with pytest.raises(FusionlabError, match=f"no SHA-256 of {name}, expected"):
        store.load(record.id)


def test_a_killed_forgetting_leaves_a_run_that_can_be_read(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL | {"recommender": "popularity"}), store)
    user = record.per_user()["user"][0]

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(user_tables, "file_fingerprint", killed)
        with pytest.raises(Killed):
            store.forget_user(record.id, [user])
    found = store.load(record.id)
    assert user not in found.per_user()["user"].to_list()


def test_an_old_run_stays_one_when_its_labels_are_opened_again(tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL | {"recommender": "popularity"}), store)
    (record.folder / "record.json").write_text(json.dumps(record.to_json()))
    (record.folder / SUMS).unlink()
    entry = {"what": "test", "why": "again", "when": "now"}
    store.note_openings(record.id, [entry])
    assert store.load(record.id).test_opened[-1] == entry


class Killed(Exception):
    pass


def kill(entry):
    if entry["epoch"] == 2:
        raise Killed


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_an_epoch_that_was_never_done(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    experiment, draw = experiment_from(SMALL), random.Random(0)
    whole = run_experiment(experiment, RunStore(tmp_path / "whole"))
    store = RunStore(tmp_path / "killed")
    with pytest.raises(Killed):
        run_experiment(experiment, store, on_epoch=kill)
    file = store.partial(whole.id) / "checkpoint.pt"
    content = file.read_bytes()
    for _ in range(20):
        if damage == "cut":
            file.write_bytes(content[: draw.randrange(len(content))])
        else:
            with zipfile.ZipFile(file) as archive:  # a byte that a checkpoint is made of
                part = draw.choice([one for one in archive.infolist() if one.file_size])
            changed = bytearray(content)
            changed[part.header_offset + 200 + draw.randrange(1 + part.file_size // 2)] ^= 4
            file.write_bytes(changed)
        if not loop._whole(file):
            break
        file.write_bytes(content)
    with pytest.warns(UserWarning, match="training begins anew"):
        found = run_experiment(experiment, store)
    assert found.metrics == whole.metrics


@pytest.mark.parametrize("changes", [{}, {"recommender": {"name": "bpr_mf"}}, CLASSES])
def test_a_loss_that_is_no_number_leaves_its_batch(tmp_path, changes):
    """A learning rate that is far too large, no mock."""
    training = {**SMALL["training"], "learning_rate": 1e30}
    experiment = experiment_from({**SMALL, **changes, "training": training})
    store = RunStore(tmp_path)
    with pytest.raises(DivergedError, match=rf"in epoch \d, step \d.*named in .*{DIVERGED_FILE}"):
        run_experiment(experiment, store)
    (file,) = tmp_path.glob(f".partial/*/{DIVERGED_FILE}")
    batch = pl.read_csv(file)
    assert 0 < len(batch) <= 128
    assert batch.columns == (["item", "class"] if changes is CLASSES else ["user", "item"])
    assert store.runs() == []
    store.clear_unfinished_tables()
    assert not file.exists(), "users are named in it: who is forgotten is forgotten there too"


def test_the_batch_is_that_of_the_step(tmp_path, monkeypatch):
    seen, step = [], RankingTask.step

    def spoiled(task, batch, generator):
        seen.append(task.train.users[batch.clicks])
        found = step(task, batch, generator)
        return (
            type(found)(found.joint * torch.nan, examples=batch.clicks) if len(seen) == 3 else found
        )

    monkeypatch.setattr(RankingTask, "step", spoiled)
    with pytest.raises(DivergedError, match="epoch 1, step 3"):
        run_experiment(experiment_from(SMALL), RunStore(tmp_path))
    (file,) = tmp_path.glob(f".partial/*/{DIVERGED_FILE}")
    named = pl.read_csv(file)["user"].cast(pl.String).str.extract(r"(\d+)").cast(pl.Int64)
    assert named.to_list() == seen[-1].tolist()
