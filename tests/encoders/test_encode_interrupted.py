"""Encoding that was cut off goes on with what was done, and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fusionlab.data.features import FeatureSpec
from fusionlab.encoders.column import Column
from fusionlab.encoders.contract import BadMedia, Fault
from fusionlab.encoders.store import Status


def test_a_line_of_the_journal_that_was_cut_off_is_done_and_noted_again(tmp_path):
    contents = [Status(name) for name in "abc"]
    spec, ones = FeatureSpec(2), (np.ones((1, 2), np.float32), np.ones(1, bool))

    def column():
        return Column(
            tmp_path / "column", contents, spec, np.dtype(np.float32), [], lambda new: [[*new]] * 3
        )

    first = column()
    for block in (0, 1):
        first.write(block, {"a": ones}, {"b": BadMedia(Fault.CORRUPT, "why")})
    journal = tmp_path / "column.partial" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-1])
    again = column()
    assert again.done == {0}
    again.write(1, {"a": ones}, {})
    third = column()
    assert third.done == {0, 1}
    assert third.faults["b"].why == "why"


SCRIPT = """
import sys
from pathlib import Path
from letters import catalogue, encoding
from fusionlab.encoders.encode import Machine, encode
from fusionlab.encoders.store import FeatureStore

if __name__ == "__main__":
    texts = [f"{row} " + "x" * (row % 7) for row in range(400)]
    slow = {"text": encoding(delay=0.005)}
    encode(catalogue(texts), slow, FeatureStore(Path(sys.argv[1])), Machine(workers=1))
"""


@pytest.mark.slow
def test_killed_and_run_again_it_ends_with_the_same_bytes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(root):
        command = [sys.executable, str(script), str(root)]
        return subprocess.Popen(command, env=environment, start_new_session=True)

    assert start(tmp_path / "whole").wait() == 0
    process = start(tmp_path / "killed")
    journal = None
    while not (journal and len(journal[0].read_text().splitlines()) >= 2):
        assert process.poll() is None, "it was done before it could be killed"
        time.sleep(0.02)
        journal = list((tmp_path / "killed").glob("*/*.partial/journal.jsonl"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed").glob("*/*/card.json"))
    done = len(journal[0].read_text().splitlines())
    assert 2 <= done < 13
    with journal[0].open("a") as file:
        file.write('{"block": 12, "fau')  # as if it was killed while it wrote that
    assert start(tmp_path / "killed").wait() == 0
    for name in ("values.npy", "mask.npy", "report.csv"):
        whole, killed = (next((tmp_path / r).glob(f"*/*/{name}")) for r in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    cards = [json.loads(f.read_text()) for f in tmp_path.glob("*/*/*/card.json")]
    assert cards[0]["features"] == cards[1]["features"]
