"""What was cut off or changed on disk is not read for what it was."""

import json
import random
import subprocess

import pytest

from fusionlab.data.sealed import SEAL, intact, sealed, sums, unsealed, write_sums
from fusionlab.errors import FusionlabError

DATA = {
    "metrics": {"ndcg@5": 0.25, "none": float("inf")},
    "words": ["ä", 1, None],
    "epochs": {3: 1},
}


def test_data_come_back():
    assert unsealed(sealed(DATA)) == json.loads(json.dumps(DATA))


def test_without_a_seal_data_are_taken_as_they_are():
    assert unsealed(json.dumps({"a": 1})) == {"a": 1}
    assert SEAL not in unsealed(sealed({"a": 1}))


def test_no_flipped_bit_and_no_cut_changes_what_is_read():
    text, draw = sealed(DATA).encode(), random.Random(0)
    refused = 0
    for _ in range(400):
        changed = bytearray(text)
        changed[draw.randrange(len(text))] ^= 1 << draw.randrange(8)
        try:
            found = unsealed(changed.decode("latin-1"))
        except ValueError:
            refused += 1
        else:  # white space, or the name of the seal, without which data are as of before
            assert found == json.loads(json.dumps(DATA)) or SEAL not in changed.decode("latin-1")
    assert refused > 300
    for end in range(len(text)):
        with pytest.raises(json.JSONDecodeError):
            unsealed(text[:end].decode("latin-1"))


def test_sums_are_what_sha256sum_checks(tmp_path):
    for name in ("model", "table"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path, ["table", "model"])
    assert set(sums(tmp_path)) == {"model", "table"}
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    assert intact(tmp_path / "model") == tmp_path / "model"
    (tmp_path / "model").write_text("modem")
    with pytest.raises(FusionlabError, match=r"model: was cut off or changed.*delete the folder"):
        intact(tmp_path / "model")
    assert intact(tmp_path / "table")


def test_of_a_file_that_nothing_was_written_of_nothing_is_asked(tmp_path):
    file = tmp_path / "model"
    file.write_text("x")
    assert intact(file) == file
