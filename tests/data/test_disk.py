"""A full disk is an error with advice, and never the end of the process."""

import os
import re
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.data import room
from fusionlab.data.disk import reserve, whole, write_whole, writing
from fusionlab.errors import FusionlabError


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("needs the right to mount a disk")
    yield folder
    # at once for all who look, and for the disk itself as soon as its last file is closed
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("write failed")])
def test_what_cannot_be_written_is_said_with_what_to_do(tmp_path, error):
    with (
        pytest.raises(
            FusionlabError, match=rf"{tmp_path}/x: cannot be written.*free space.*--runs"
        ),
        writing(tmp_path / "x"),
    ):
        raise error


def test_torch_and_its_own_error_on_a_full_disk(small_disk):
    with pytest.raises(FusionlabError, match="free space"), writing(small_disk / "x"):
        torch.save(torch.zeros(100_000), small_disk / "x")


@pytest.mark.parametrize("reserved", [True, False])
def test_an_array_on_a_full_disk(small_disk, monkeypatch, reserved):
    """Told before it is written, and where the system reserves nothing in the midst."""
    if not reserved:
        monkeypatch.setattr(room, "reserve", lambda file: None)
    monkeypatch.setattr(room, "large_bytes", lambda: 1000)
    with pytest.raises(FusionlabError, match="free space"):
        room.joined(torch.zeros(400, 100).split(10), (400, 100), torch.float32, small_disk)
    assert not list(small_disk.iterdir())


def test_a_sparse_file_gets_its_space_or_an_error(tmp_path, small_disk):
    for folder in (tmp_path, small_disk):
        with (folder / "sparse").open("wb") as file:
            file.truncate(1 << 20)
    reserve(tmp_path / "sparse")
    assert os.stat(tmp_path / "sparse").st_blocks * 512 >= 1 << 20
    with pytest.raises(OSError, match="No space left"):
        reserve(small_disk / "sparse")


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from fusionlab.data.features import FeatureSpec
from fusionlab.encoders.store import Status
from fusionlab.encoders.column import Column
from fusionlab.errors import FusionlabError
contents = [Status(f"{n}") for n in range(1000)]
try:
    spec = FeatureSpec(dim=100, tokens=1)
    Column(Path(sys.argv[1]) / "c", contents, spec, np.dtype("f4"), [], lambda new: [new])
except FusionlabError as error:
    print(error)
"""


def test_a_column_that_does_not_fit_the_disk_is_an_error(small_disk):
    """In a process of its own, which a page that cannot be had would end with SIGBUS."""
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(small_disk)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, "free space" in found.stdout) == (0, True), found


def test_nobody_reads_half_a_file(tmp_path):
    file = write_whole(tmp_path / "deep" / "x", b"old")
    with pytest.raises(TypeError), whole(file) as draft:
        draft.write_bytes(b"ne"), draft.write_bytes(None)
    assert file.read_bytes() == b"old"
    with whole(file) as draft:
        draft.write_bytes(b"new")
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert [one.name for one in file.parent.iterdir()] == ["x"]


def test_who_may_write_at_once_has_a_draft_of_its_own(tmp_path):
    with whole(tmp_path / "x", shared=True) as one, whole(tmp_path / "x", shared=True) as other:
        assert one != other
        one.write_bytes(b"1")
        other.write_bytes(b"2")
    assert (tmp_path / "x").read_bytes() == b"1"  # the outer one came last


def test_where_nothing_can_be_written_long_work_does_not_begin(tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "bench.json"
    result = CliRunner().invoke(main, ["bench", "sum", "--out", str(out)])
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    assert re.search(rf"{out}: cannot be written \(.+\); allow it, or name another place", said)
