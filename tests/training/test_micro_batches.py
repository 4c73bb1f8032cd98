"""Steps in parts: the same gradient, and a way on where the memory is too small for a step."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import experiment_from
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.ranking import RankingTask

CLICKS = {
    "dataset": {"name": "synthetic", "users": 60, "items": 50, "clicks": 12},
    "recommender": "content",
    "dim": 8,
    "evaluation": {"cutoffs": [5]},
}
CLASSES = {
    "task": "classification",
    "dataset": {"name": "synthetic", "items": 300, "task": "classification", "classes": 3},
    "dim": 8,
}
IN_BATCH = {"sampling": "in_batch", "negatives": 5, "loss": "softmax"}
WAYS = {
    "drawn negatives": {**CLICKS, "fusion": "gated"},
    "in the batch": {**CLICKS, "recommender": "two_tower", "training": IN_BATCH},
    "IDs alone": {**CLICKS, "recommender": {"name": "bpr_mf", "l2": 0}},
    "a pool": {**CLICKS, "recommender": {"name": "hybrid", "l2": 0}, "training": {"pool": 20}},
    "classes": {**CLASSES, "fusion": "cross_attention"},
}


def trained(way, folder, **options):
    how = WAYS[way]
    training = {"epochs": 2, "batch_size": 128, "signals_every": 0, **how.get("training", {})}
    experiment = experiment_from({**how, "training": {**training, **options}})
    return run_experiment(experiment, RunStore(Path(folder)))


@pytest.mark.parametrize("way", WAYS)
def test_parts_of_a_step_have_its_gradient(way, tmp_path):
    """The losses of two epochs: the second's tells what the first has learned."""
    whole, parts = trained(way, tmp_path), trained(way, tmp_path, micro_batch=27)
    for one, other in zip(whole.history, parts.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert "micro_batch" not in one
        assert other["micro_batch"] == 27


def test_a_part_as_large_as_the_step_is_the_step(tmp_path):
    whole, same = (trained("drawn negatives", tmp_path, micro_batch=m) for m in (None, 128))
    assert whole.id != same.id
    assert whole.metrics == same.metrics


def refusing(most, monkeypatch):
    """The memory holds ``most`` examples; how many each step had."""
    step, seen = RankingTask.step, []

    def narrow(self, batch, generator):
        seen.append(len(batch))
        if len(batch) > most:
            raise torch.OutOfMemoryError("tried to allocate 9 GiB")
        return step(self, batch, generator)

    monkeypatch.setattr(RankingTask, "step", narrow)
    return seen


def test_auto_halves_a_step_until_it_fits_and_goes_on_so(tmp_path, monkeypatch):
    whole = trained("drawn negatives", tmp_path)
    seen = refusing(40, monkeypatch)
    with pytest.warns(UserWarning, match=r"micro_batch: the memory does not hold .* 32 at once"):
        parts = trained("drawn negatives", tmp_path, micro_batch="auto")
    assert seen[:4] == [128, 64, 32, 32]
    assert max(seen[2:]) == 32
    assert [entry["micro_batch"] for entry in parts.history] == [32, 32]
    assert parts.history[1]["loss"] == pytest.approx(whole.history[1]["loss"], rel=1e-5)


def test_where_not_one_example_fits_there_is_advice(tmp_path, monkeypatch):
    seen = refusing(0, monkeypatch)
    with (
        pytest.warns(UserWarning, match="micro_batch"),
        pytest.raises(FusionlabError, match="the GPU's memory does not hold a step"),
    ):
        trained("drawn negatives", tmp_path, micro_batch="auto")
    assert seen == [128, 64, 32, 16, 8, 4, 2, 1]


def test_a_fixed_part_is_not_made_smaller(tmp_path, monkeypatch):
    refusing(10, monkeypatch)
    with pytest.raises(FusionlabError, match="micro_batch=auto"):
        trained("drawn negatives", tmp_path, micro_batch=20)


LIMITED = """
import resource, sys, torch, warnings
from pathlib import Path
from fusionlab.training.ranking import RankingTask
sys.path.insert(0, sys.argv[1])
from test_micro_batches import trained
step, limit = RankingTask.step, []

def hungry(self, batch, generator):
    if not limit:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit.append(pages * resource.getpagesize() + (1 << 30))
        resource.setrlimit(resource.RLIMIT_AS, (limit[0], limit[0]))
    wanted = torch.empty(len(batch) << 22)
    return step(self, batch, generator)

RankingTask.step = hungry
warnings.simplefilter("ignore")
record = trained("drawn negatives", sys.argv[2], micro_batch="auto")
print(*(int(entry["micro_batch"]) for entry in record.history))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_systems_own_refusal_halves_a_step(tmp_path, request):
    """128 examples want 2 GB of 1 GB; at most 63 fit, so 32 do."""
    words = [sys.executable, "-c", LIMITED, str(request.path.parent), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.split() == ["32", "32"], done.stderr


@pytest.mark.parametrize("balancer", sorted({*BALANCERS.names()} - {"none", "modality_dropout"}))
def test_a_balancer_of_whole_steps_is_refused(balancer, tmp_path):
    how = {**WAYS["drawn negatives"], "training": {"micro_batch": 8}}
    needed = {"weight": {"audio": 1}} if balancer == "fixed_weights" else {}
    how["balancer"] = {"name": balancer, **needed}
    with pytest.raises(ConfigError, match=r"training\.micro_batch.*modality_dropout, none"):
        run_experiment(experiment_from(how), RunStore(tmp_path))
    assert not list((tmp_path).glob("*/record.json"))


def test_dropout_of_modalities_may_be_in_parts(tmp_path):
    how = {**WAYS["drawn negatives"], "balancer": "modality_dropout"}
    how["training"] = {"epochs": 1, "batch_size": 64, "micro_batch": 16}
    assert run_experiment(experiment_from(how), RunStore(tmp_path)).history[0]["micro_batch"] == 16
