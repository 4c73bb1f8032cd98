"""Encoded columns, finished or under way, and hashes of media that were damaged on the disk."""

import csv
import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.config import experiment_from
from fusionlab.data.media import Media, content_hash
from fusionlab.encoders import hashes
from fusionlab.encoders.encode import Machine, encoded_dataset
from fusionlab.encoders.hashes import ContentHashes
from fusionlab.encoders.store import FeatureStore
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOW, BLOWS, contents, damaged, struck
from tests.fuzzing.ground import Ground, bounded, ground, in_memory, refusing_cleanly
from tests.fuzzing.test_fuzz_runs import SMALL, bare

__all__ = ["bounded", "ground"]

RENDERED = {
    "dataset": {**SMALL["dataset"], "features": "rendered"},
    "encoders": {"image": {"of": "image", "encoder": {"name": "pixels", "side": 2}}},
}


@pytest.fixture(scope="module")
def encode():
    """Reads the column of a store, or encodes it: never from what the process has read before."""
    experiment = experiment_from({**SMALL, **RENDERED})
    dataset = experiment.dataset.build().load()
    pictures = dataset.media["image"]
    drawn = Media(pictures.medium, [*pictures.entries])  # once, and not when they are looked at
    dataset, here = replace(dataset, media={"image": drawn}), Machine(workers=0)
    return partial(encoded_dataset, dataset, experiment.encodings, machine=here)


@pytest.fixture(scope="module")
def columns(encode, tmp_path_factory):
    """The files of a store by the state of its one column, and the features in it."""
    root = tmp_path_factory.mktemp("encoded")
    features = encode(FeatureStore(root)).features
    finished = written(root)
    files = {"finished": finished, "bare": bare(finished), "under way": interrupted(root)}
    return files, features.values["image"].clone()


def interrupted(root):
    """The files of a column whose last step was not reached."""
    (card,) = root.glob("*/*/card.json")
    told = csv.DictReader((card.parent / "report.csv").read_text().splitlines())
    plan = [sorted({row["content"] for row in told})]
    (card.parent / "plan.json").write_text(json.dumps(plan))
    (card.parent / "journal.jsonl").write_text('{"block": 0, "faults": {}}\n')
    card.unlink()
    (card.parent / "report.csv").unlink()
    card.parent.rename(card.parent.with_suffix(".partial"))
    return written(root)


def written(root):
    """The files of a store but for its locks, which are empty."""
    return {name: one for name, one in contents(root).items() if not name.endswith(".lock")}


@pytest.mark.usefixtures("bounded")
def test_a_damaged_column_is_read_or_refused(encode, columns):
    files, features = columns

    @inputs("a column of the feature store")
    @given(st.sampled_from(sorted(files)), BLOWS)
    def read(state, damage):
        with in_memory() as home:
            Ground(home).lay(damaged(files[state], damage))
            with refusing_cleanly():
                encode(FeatureStore(home))
                return
            for column in home.glob("*/*"):  # what each error advises
                shutil.rmtree(column) if column.is_dir() else None
            again = encode(FeatureStore(home)).features
            assert torch.equal(again.values["image"], features)

    read()


def test_an_undamaged_column_is_read(encode, columns, monkeypatch):
    """And not encoded again, in any of the states: what is damaged above is what is read."""
    files, features = columns
    monkeypatch.setattr("fusionlab.encoders.work.ColumnWork._encoded", lambda *_: iter(()))
    for state in files:
        with in_memory() as home:
            Ground(home).lay(files[state])
            found = encode(FeatureStore(home)).features.values["image"]
            assert torch.equal(found, features)


@pytest.mark.usefixtures("bounded")
def test_damaged_hashes_are_known_or_made_anew(ground, monkeypatch):
    monkeypatch.setattr(hashes, "RACY_NS", -(10**18))  # the picture was not touched just now
    ground.lay({"picture": b"some bytes"})
    picture = ground.root / "picture"
    with in_memory() as home:
        known = ContentHashes(home / "hashes.parquet")
        known.of(picture)
        known.save()
        content = (home / "hashes.parquet").read_bytes()

    @inputs("hashes of media")
    @given(st.lists(BLOW, min_size=1, max_size=3))
    def read(blows):
        with in_memory() as home:
            file = home / "hashes.parquet"
            file.write_bytes(struck(content, blows))
            found = ContentHashes(file)
            assert len(found.of(picture)) == len(content_hash(picture))
            found.of(home / "hashes.parquet")
            found.save()
            assert ContentHashes(file).of(picture)

    read()
