"""Cores that processes claim: each for one, none for those who come late, free after death."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack

import pytest

from fusionlab.config import experiment_from, load_study
from fusionlab.errors import FusionlabError
from fusionlab.studies import cores
from fusionlab.studies.cores import pin
from fusionlab.studies.executor import cores_of_a_worker, execute
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system pins nobody"
)

PROCESS = """
import os, sys
from pathlib import Path
from fusionlab.studies.cores import pin
print(pin(int(sys.argv[1]), Path(sys.argv[2])), *sorted(os.sched_getaffinity(0)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start processes at once, each of which claims so many cores and lives on."""
    with ExitStack() as stack:

        def start(*counts):
            processes = [
                subprocess.Popen(
                    [sys.executable, "-c", PROCESS, str(count), tmp_path / "cores"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for count in counts
            ]
            for process in processes:
                stack.enter_context(process)
                stack.callback(process.kill)
            return processes

        yield start


def said(process):
    """Was it pinned, and the cores it may use."""
    pinned, *cores = process.stdout.readline().split()
    return pinned == "True", {*map(int, cores)}


def test_cores_are_claimed_by_one_process_each_and_who_gets_none_may_use_all(start):
    everything = os.sched_getaffinity(0)
    found = [said(process) for process in start(*[1] * (len(everything) + 1))]
    own = [cores for pinned, cores in found if pinned]
    assert [cores for pinned, cores in found if not pinned] == [everything]
    assert sorted(core for cores in own for core in cores) == sorted(everything)


def test_more_threads_than_free_cores_claim_none(start):
    everything = os.sched_getaffinity(0)
    assert said(*start(len(everything) + 1)) == (False, everything)
    assert said(*start(len(everything))) == (True, everything)
    assert said(*start(1)) == (False, everything)


def test_cores_of_a_killed_process_are_free(start):
    everything = os.sched_getaffinity(0)
    (first,) = start(len(everything))
    assert said(first) == (True, everything)
    first.kill()
    first.wait()
    assert said(*start(len(everything))) == (True, everything)


def test_where_no_lock_can_be_made_nobody_is_pinned(tmp_path):
    (tmp_path / "file").touch()
    before = os.sched_getaffinity(0)
    assert not pin(1, tmp_path / "file")
    assert not pin(1, tmp_path / "nowhere" / "cores")
    assert os.sched_getaffinity(0) == before


def test_who_waits_too_long_for_his_turn_goes_without(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "SECONDS", 0.0)
    with cores._lock(tmp_path / "claiming.lock"):
        assert not pin(1, tmp_path)


SHOWS = """
import os
from fusionlab.fusion.contract import FUSIONS, Fusion, Level
@FUSIONS.register("shows_cores")
class Shows(Fusion):
    level, additive = Level.FEATURE, True
    def forward(self, items):
        raise ValueError(f"on {sorted(os.sched_getaffinity(0))}")
"""


def test_workers_of_a_study_are_pinned(study_file, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # apart from other studies on this machine
    plugin = tmp_path / "shows.py"
    plugin.write_text(SHOWS)
    study = load_study(study_file, ["axes.fusion=[shows_cores]", "controls=[]"], [str(plugin)])
    with pytest.raises(FusionlabError) as error:
        execute(plan(study).runs, RunStore(tmp_path / "runs"), workers=2, on_run=lambda run: None)
    seen = re.findall(r"on \[(\d+)\]", str(error.value))  # of one core each
    assert len(seen) == 2 or len(os.sched_getaffinity(0)) == 1
    assert any((tmp_path / "fusionlab-cores").glob("*.lock"))


def test_workers_on_a_gpu_are_not_pinned():
    cpu = experiment_from({"dataset": "synthetic", "runtime": {"threads": 3}})
    gpu = experiment_from({"dataset": "synthetic", "runtime": {"device": "cuda:1"}})
    assert cores_of_a_worker([cpu, cpu.varied({"runtime.threads": 2})]) == 3
    assert cores_of_a_worker([cpu, gpu]) == 0


@pytest.mark.parametrize(
    ("siblings", "allowed", "claimed"),
    [
        (["0-1", "0-1", "2-3", "2-3"], {3, 2, 1, 0}, [0, 2, 1]),
        (["0,2", "1,3", "0,2", "1,3"], {3, 2, 1, 0}, [0, 1, 2]),
        (["0-1", "0-1", "2-3", "2-3"], {3, 1, 0}, [0, 3, 1]),
        (["0", "1", "2", "3"], {3, 2, 1, 0}, [0, 1, 2]),
        (["", "x", "0-", "3"], {3, 2, 1, 0}, [0, 1, 2]),
        ([], {3, 2, 1, 0}, [0, 1, 2]),
    ],
)
def test_threads_of_one_physical_core_are_claimed_last(
    siblings, allowed, claimed, tmp_path, monkeypatch
):
    for core, text in enumerate(siblings):
        topology = tmp_path / f"cpu{core}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{text}\n")
    monkeypatch.setattr(cores, "CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    found = cores._claim(3, tmp_path)
    for lock in found.values():
        lock.release()
    assert list(found) == claimed
