"""Studies on a cluster of several local Ray processes: the same records, workers lost or not."""

import json
import os
import socket
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.config import load_experiment, load_study
from fusionlab.errors import FusionlabError
from fusionlab.studies.executor import execute
from fusionlab.studies.ray_executor import Cluster, _check_room, _settle, _software
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan

ray = pytest.importorskip("ray", reason="pip install 'fusionlab-recsys[ray]'")

FALTERS = """
import os, signal, time
from pathlib import Path
from fusionlab.fusion.contract import FUSIONS
from fusionlab.fusion.feature_level.sum import Sum

@FUSIONS.register("{name}")
class Falters(Sum):
    '''The sum of projections; whoever is the first to come to its tenth step is lost there.'''
    steps = 0

    def forward(self, items):
        Falters.steps += 1
        first = Path({first!r})
        if Falters.steps >= 10 and not first.exists():
            import ray
            draft = first.with_suffix(".draft")
            draft.write_text(ray.get_runtime_context().get_node_id())
            draft.rename(first)
            {end}
        return super().forward(items)
"""
ENDS = {"killed": "os.kill(os.getpid(), signal.SIGKILL)", "waits": "time.sleep(600)"}


@pytest.fixture(scope="module")
def machines():
    """A head without cores and two machines of one core each, as far as Ray can tell; this process
    is connected to them."""
    from ray.cluster_utils import Cluster as Machines

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        found = Machines(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(2):
            found.add_node(num_cpus=1)
        ray.init(found.address, log_to_driver=False)
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.fixture
def faltering(study_file, tmp_path, request):
    """Runs of a strategy that is lost once, the file that is there afterwards, and what they find
    where nobody is lost."""
    first, plugin = tmp_path / "first", tmp_path / f"{request.param}.py"
    name = f"falters_{request.param}"
    plugin.write_text(FALTERS.format(name=name, first=str(first), end=ENDS[request.param]))
    overrides = [f"axes.fusion=[{name}]", "controls=[popularity]", "experiment.training.epochs=4"]
    runs = plan(load_study(study_file, overrides, [str(plugin)])).runs
    first.touch()
    peace = RunStore(tmp_path / "peace")
    execute(runs, peace, on_run=ignore)
    first.unlink()
    return runs, first, found_in(peace, runs)


def ignore(run):
    pass


def found_in(store, runs):
    """What each run found, without its times, and the bytes of its model."""
    return {
        run: (
            json.dumps([store.load(run).metrics, without_times(store.load(run).history)]),
            (store.folder(run) / "model.safetensors").read_bytes(),
        )
        for run in runs
    }


def without_times(history):
    return [{name: x for name, x in one.items() if "seconds" not in name} for one in history]


@pytest.mark.slow
@pytest.mark.parametrize("faltering", ["killed"], indirect=True)
def test_a_run_whose_worker_is_killed_begins_again_and_finds_the_same(
    machines, faltering, tmp_path
):
    runs, first, expected = faltering
    store, done = RunStore(tmp_path / "runs"), []
    execute(runs, store, cluster=Cluster(machines.address), on_run=done.append)
    assert first.read_text()  # somebody was killed there
    assert sorted(done) == sorted(runs)
    assert found_in(store, runs) == expected
    assert not any((store.root / ".partial").iterdir())
    assert not any((store.root / ".shared").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("faltering", ["waits"], indirect=True)
def test_runs_of_a_lost_machine_are_done_by_another(machines, faltering, tmp_path):
    runs, first, expected = faltering
    store = RunStore(tmp_path / "runs")
    thread = threading.Thread(
        target=execute,
        args=(runs, store),
        kwargs={"cluster": Cluster(machines.address), "on_run": ignore},
    )
    thread.start()
    while thread.is_alive() and not first.exists():
        time.sleep(0.05)
    (lost,) = [one for one in machines.worker_nodes if one.node_id == first.read_text()]
    machines.remove_node(lost, allow_graceful=False)
    thread.join(300)
    machines.add_node(num_cpus=1)
    assert not thread.is_alive()
    assert found_in(store, runs) == expected


@pytest.mark.slow
def test_a_broken_strategy_is_named_and_other_runs_are_done(machines, study_file, tmp_path):
    plugin = tmp_path / "breaks.py"
    text = FALTERS.format(name="breaks_on_ray", first=str(tmp_path / "first"), end="raise OSError")
    plugin.write_text(text)
    overrides = ["axes.fusion=[concat, breaks_on_ray]", "controls=[]", "seeds=[0]"]
    runs = plan(load_study(study_file, overrides, [str(plugin)])).runs
    store = RunStore(tmp_path / "runs")
    with pytest.raises(FusionlabError) as error:
        execute(runs, store, cluster=Cluster(machines.address), on_run=ignore)
    assert "1 of 2 runs failed" in str(error.value)
    assert "breaks_on_ray, seed 0: OSError" in str(error.value)
    assert len(store.runs()) == 1


@pytest.mark.slow
def test_a_machine_without_room_for_a_run_is_told(machines, study_file, tmp_path):
    runs = plan(load_study(study_file, ["experiment.runtime.threads=2"])).runs
    with pytest.raises(FusionlabError, match="expected one with 2 cores and 0 GPUs for a run"):
        execute(runs, RunStore(tmp_path), cluster=Cluster(machines.address), on_run=ignore)


def test_machines_without_room_are_listed():
    """What the above is told, where no cluster has to be started."""
    machines = [{"Resources": {"CPU": 4.0}, "Alive": alive} for alive in (True, False)]
    ray = SimpleNamespace(nodes=lambda: machines)
    _check_room(ray, {"CPU": 4, "GPU": 0})
    found = "found machines of 4 cores and 0 GPUs, expected one with 4 cores and 1 GPUs for a run"
    with pytest.raises(FusionlabError, match=found):
        _check_room(ray, {"CPU": 4, "GPU": 1})


def experiments(tmp_path, *devices):
    file = tmp_path / "one.yaml"
    file.write_text("dataset: {name: synthetic}\nrecommender: popularity\n")
    one = load_experiment(file)
    return [one.varied({"runtime.device": device}) for device in devices]


def test_a_run_takes_its_threads_and_its_share_of_a_gpu(tmp_path):
    cpu, gpu, second = experiments(tmp_path, "cpu", "cuda", "cuda:1")
    assert Cluster("auto").needs([cpu.varied({"runtime.threads": 3}), cpu]) == {"CPU": 3, "GPU": 0}
    assert Cluster("auto").needs([cpu, gpu])["GPU"] == 1
    assert Cluster("auto", 0.25).needs([gpu])["GPU"] == 0.25
    with pytest.raises(FusionlabError, match=r"found 0\.25 where every run's"):
        Cluster("auto", 0.25).needs([cpu])
    with pytest.raises(FusionlabError, match="found 'cuda:1', expected 'cuda' beside --ray"):
        Cluster("auto").needs([cpu, second])


def test_a_machine_of_another_store_or_software_refuses_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = RunStore(tmp_path / "runs")
    with store.sharing() as share:
        _settle(store.root, share, tmp_path, _software())
        with pytest.raises(FusionlabError, match="elsewhere: No such file or directory; a study"):
            _settle(store.root, share, tmp_path / "elsewhere", _software())
        with pytest.raises(FusionlabError, match="found another fusionlab or torch"):
            _settle(store.root, share, tmp_path, ("another", _software()[1]))
    with pytest.raises(FusionlabError, match="expected --runs on a file system that all machines"):
        _settle(store.root, share, tmp_path, _software())


def test_mistakes_are_told_at_once(study_file, tmp_path, monkeypatch):
    def told(*words):
        asked = ["study", str(study_file), "--runs", str(tmp_path / "runs"), *words]
        result = CliRunner().invoke(main, asked)
        assert result.exit_code
        return " ".join(result.output.replace("│", " ").split())

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    assert f"--ray: found '{nobody}', where nobody answers" in told("--ray", nobody)
    assert "found 'ray://there:10001', expected HOST:PORT" in told("--ray", "ray://there:10001")
    assert "found 'there', expected HOST:PORT, auto or local" in told("--ray", "there")
    assert "found 'auto', where Ray cannot be reached (" in told("--ray", "auto")
    assert "leave it out beside --ray" in told("--ray", "local", "--workers", "2")
    assert "--gpus-per-run needs --ray ADDRESS" in told("--gpus-per-run", "0.5")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--ray needs Ray: pip install" in told("--ray", "local")
