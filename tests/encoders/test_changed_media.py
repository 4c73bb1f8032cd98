"""A changed picture or sound recomputes one row, and unchanged files are not even read."""

import os
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from letters import catalogue

from fusionlab.data.media import Media, Medium, content_hash
from fusionlab.encoders import hashes
from fusionlab.encoders.encode import Machine, encode
from fusionlab.encoders.hashes import ContentHashes
from fusionlab.encoders.store import FeatureStore
from fusionlab.errors import FusionlabError
from fusionlab.schema import validate
from fusionlab.sections import Encoding
from tests.encoders.audio import sounds
from tests.encoders.encoder_recipes import good_items
from tests.encoders.image import pictures

KINDS = {Medium.IMAGE: "pixels", Medium.AUDIO: "audio_mfcc"}


@pytest.fixture(params=[Medium.IMAGE, Medium.AUDIO])
def medium(request):
    return request.param


@pytest.fixture
def folder(medium, tmp_path):
    """Five files."""
    root = tmp_path / "media"
    root.mkdir()
    for name, content in zip("abcde", good_items(medium), strict=True):
        (root / name).write_bytes(content)
    return root


@pytest.fixture
def encoded(medium, tmp_path):
    """Encode a folder's files; how many were computed, and the rows."""

    def run(folder, meanwhile=lambda: None):
        """``meanwhile`` happens after the files were hashed, before they are decoded."""
        entries = sorted(folder.iterdir())
        dataset = replace(catalogue(entries), media={"column": Media(medium, entries)})
        encoding = validate(Encoding, {"of": "column", "encoder": KINDS[medium], "batch_size": 2})
        totals = []

        def on_items(modality, done, total):
            if not totals:
                meanwhile()
            totals.append(total)

        store = FeatureStore(tmp_path / "features")
        column = encode(dataset, {"x": encoding}, store, Machine(workers=0), on_items)["x"]
        return (totals[0] if totals else 0), np.load(column.folder / "values.npy")

    return run


@pytest.fixture
def reads(monkeypatch):
    """The files whose content is read, with files trusted as soon as they are written."""
    monkeypatch.setattr(hashes, "RACY_NS", -1)
    seen = []

    def counted(raw):
        seen.append(raw)
        return content_hash(raw)

    monkeypatch.setattr(hashes, "content_hash", counted)
    return seen


def test_a_changed_file_recomputes_one_row(medium, folder, encoded):
    computed, before = encoded(folder)
    assert computed == 5
    (folder / "c").write_bytes(_other(medium))
    computed, after = encoded(folder)
    assert computed == 1
    same = np.arange(5) != 2
    assert after[same].tobytes() == before[same].tobytes()
    assert not np.array_equal(after[2], before[2])


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_changes_while_it_is_encoded_lends_its_features_to_nothing(
    medium, folder, encoded, gone
):
    original = (folder / "c").read_bytes()

    def meanwhile():
        (folder / "c").unlink() if gone else (folder / "c").write_bytes(_other(medium))

    with pytest.raises(FusionlabError, match=r"encoders\.x: .*/c was changed or taken away"):
        encoded(folder, meanwhile)
    (folder / "c").write_bytes(original)
    _, after = encoded(folder)
    (folder / "c").write_bytes(_other(medium))
    assert not np.array_equal(encoded(folder)[1][2], after[2])


def test_a_pipe_and_a_file_beyond_all_size_are_rows_of_the_report(folder, encoded):
    os.mkfifo(folder / "f")
    with (folder / "g").open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    computed, values = encoded(folder)
    assert computed == 5
    assert len(values) == 7
    assert not values[5:].any()


@pytest.mark.parametrize("device", ["banana", "mps", "cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_one_clear_error(device):
    with pytest.raises(FusionlabError, match=rf"^device: found '{device}'"):
        Machine(device)


def _other(medium):
    if medium is Medium.IMAGE:
        return pictures.encoded(pictures.noise(seed=99))
    return sounds.encoded(sounds.noise(0.4, seed=99))


def test_a_file_by_another_name_recomputes_nothing(folder, encoded):
    _, before = encoded(folder)
    (folder / "e").rename(folder / "A")
    computed, after = encoded(folder)
    assert computed == 0
    assert np.array_equal(after, before[[4, 0, 1, 2, 3]])


def test_only_what_changed_is_read_again(medium, folder, encoded, reads):
    encoded(folder)
    assert len(reads) == 5
    encoded(folder)
    assert len(reads) == 5
    (folder / "b").write_bytes(_other(medium))
    assert encoded(folder)[0] == 1
    assert reads[5:] == [folder / "b"]


@pytest.fixture
def file(tmp_path):
    found = tmp_path / "file"
    found.write_bytes(b"one")
    return found


def hashed(tmp_path, file):
    known = ContentHashes(tmp_path / "store" / "hashes.parquet")
    found = known.of(file)
    known.save()
    return found


def test_same_size_and_time_of_another_content_is_seen(tmp_path, file, reads):
    first = hashed(tmp_path, file)
    times = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert hashed(tmp_path, file) == content_hash(b"two") != first


def test_what_was_just_written_is_not_trusted(tmp_path, file, reads, monkeypatch):
    monkeypatch.setattr(hashes, "RACY_NS", 3_000_000_000)
    hashed(tmp_path, file)
    hashed(tmp_path, file)
    assert len(reads) == 2
    now = hashes.time.time_ns()
    monkeypatch.setattr(hashes.time, "time_ns", lambda: now + 4_000_000_000)
    for _ in range(3):
        assert hashed(tmp_path, file) == content_hash(b"one")
    assert len(reads) == 3


def test_a_damaged_memory_is_no_memory(tmp_path, file, reads):
    first = hashed(tmp_path, file)
    memory = tmp_path / "store" / "hashes.parquet"
    memory.write_bytes(memory.read_bytes()[:50])
    assert hashed(tmp_path, file) == first
    assert hashed(tmp_path, file) == first
    assert len(reads) == 2


def test_a_hash_that_is_null_is_none(tmp_path, file, reads):
    memory = tmp_path / "store" / "hashes.parquet"
    memory.parent.mkdir()
    rows = {"path": [str(file)], "known": [None]}
    pl.DataFrame(rows, schema=hashes.KNOWN).write_parquet(memory)
    assert hashed(tmp_path, file) == content_hash(b"one")


def test_two_that_write_keep_what_both_found(tmp_path, file, reads):
    other = tmp_path / "other"
    other.write_bytes(b"other")
    one, two = (ContentHashes(tmp_path / "store" / "hashes.parquet") for _ in range(2))
    one.of(file), two.of(other)
    one.save(), two.save()
    third = ContentHashes(tmp_path / "store" / "hashes.parquet")
    assert third.of(file) == content_hash(b"one")
    assert third.of(other) == content_hash(b"other")
    assert len(reads) == 2
    file.unlink()
    with pytest.raises(FileNotFoundError):
        third.of(file)
