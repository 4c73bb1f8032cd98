"""Processes that decode, and the script that starts them."""

import multiprocessing
import os
import subprocess
import sys

import pytest

from fusionlab.encoders.workers import prepared
from fusionlab.errors import FusionlabError
from fusionlab.processes import check_not_importing

SCRIPT = """
from pathlib import Path

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.encoders.encode import encode
from fusionlab.encoders.store import FeatureStore
from fusionlab.schema import validate
from fusionlab.sections import Encoding


def main():
    dataset = Synthetic(users=20, items=16, clicks=6, features="rendered").load()
    encoding = validate(Encoding, {"of": "image", "encoder": {"name": "pixels", "side": 4}})
    found = encode(dataset, {"image": encoding}, FeatureStore(Path("features")))
    print(len(found["image"].statuses))


"""


@pytest.mark.parametrize("guard", ["", 'if __name__ == "__main__":\n    '], ids=["bare", "guarded"])
def test_a_script_that_encodes_as_it_is_imported_is_told_so(guard, tmp_path):
    """Each worker imports the script, and would encode, and wait for who is at it already."""
    (tmp_path / "script.py").write_text(f"{SCRIPT}{guard}main()\n")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode == 0) == bool(guard), done.stderr
    if guard:
        assert done.stdout == "16\n"
        return
    last = done.stderr.strip().splitlines()[-1]
    assert "encoders: a process that decodes died as it began" in last
    assert 'under `if __name__ == "__main__":`' in last


class Deadly:
    """Ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (3,)


def test_workers_that_die_as_they_begin_end_it_all():
    with pytest.raises(FusionlabError, match="a process that decodes died as it began"):
        list(prepared([b"a"], Deadly(), workers=1))


def test_a_process_that_is_being_started_begins_nothing(monkeypatch):
    check_not_importing()
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(FusionlabError, match="workers import the script that starts them"):
        check_not_importing()
