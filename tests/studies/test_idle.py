"""A balancer that finds nothing to act on is warned of, and no other."""

import pytest
import torch

from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import experiment_from
from fusionlab.data.dataset import Labelled, Labels
from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.schema import validate
from fusionlab.sections import Training
from fusionlab.studies.idle import idle_balancer, waiting_balancer
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.classification import ClassificationTask, Classifier

OPTIONS = {
    "mslr": {"keep": {"text": 0, "image": 0, "audio": 0}, "dynamic": False},
    "greedy_freeze": {"threshold": 1e-9},
}
ON_PARTS = [name for name in BALANCERS.names() if BALANCERS[name].owners]
SMALL = {
    "dataset": {"name": "synthetic", "users": 30, "items": 40, "clicks": 6},
    "dim": 4,
    "training": {"epochs": 1, "batch_size": 128},
    "evaluation": {"cutoffs": [5]},
}


def built(fusion, balancer):
    draw = torch.Generator().manual_seed(0)
    widths = {"text": 3, "image": 4, "audio": 5}
    values = {name: torch.randn(12, 1, d, generator=draw) for name, d in widths.items()}
    items = ItemFeatures(values, {n: torch.ones(12, 1, dtype=torch.bool) for n in values})
    torch.manual_seed(0)
    strategy = specimen(fusion).build(items.specs, 4)
    with torch.no_grad():
        strategy.fit(items)
    part = Labelled(torch.arange(12), torch.arange(12) % 3)
    return ClassificationTask(
        Classifier(strategy, 3),
        Labels(["a", "b", "c"], part, part, part),
        items,
        validate(Training, {}),
        "accuracy",
        balancer=BALANCERS.parse({"name": balancer, **OPTIONS.get(balancer, {})}).build(widths),
    )


def trace(task, steps):
    """Gradients and weights of each step."""
    optimizer, found = torch.optim.SGD(task.model.parameters(), lr=0.1), []
    torch.manual_seed(1)
    for _ in range(steps):
        step = task.step(torch.arange(12), torch.Generator())
        optimizer.zero_grad()
        task.balancer.backward(step)
        found += [
            torch.zeros_like(p) if p.grad is None else p.grad for p in task.model.parameters()
        ]
        task.balancer.update(step, optimizer.step)
        found += [p.detach().clone() for p in task.model.parameters()]
    return found


def test_those_that_act_on_parts_are_known():
    assert sorted(ON_PARTS) == ["agm", "greedy_freeze", "mslr", "ogm_ge"]


@pytest.mark.parametrize("fusion", FUSIONS.names())
@pytest.mark.parametrize("name", ON_PARTS)
def test_it_does_something_or_is_warned_of(name, fusion):
    task = built(fusion, name)
    # A step later the random states of strategies that draw would differ; freezing draws nothing.
    steps = 2 if name == "greedy_freeze" else 1
    plain, other = trace(built(fusion, "none"), steps), trace(task, steps)
    changed = any(not torch.equal(*pair) for pair in zip(plain, other, strict=True))
    assert changed == (not idle_balancer(task))


@pytest.mark.parametrize("name", ["ogm_ge", "mslr", "unimodal_losses"])
def test_the_record_says_it(name, tmp_path):
    balancer = {"name": name, **({"dynamic": False} if name == "mslr" else {})}
    experiment = experiment_from({**SMALL, "fusion": "pca", "balancer": balancer})
    said = "balancer {!r} finds no parameters of single modalities in fusion 'pca': it does nothing"
    expected = [] if name == "unimodal_losses" else [said.format(name)]
    assert run_experiment(experiment, RunStore(tmp_path)).warnings == expected


def test_one_modality_alone_is_no_pair(monkeypatch):
    task = built("sum", "greedy_freeze")
    own = task.model.fusion.modality_parameters
    monkeypatch.setattr(
        task.model.fusion, "modality_parameters", lambda m: own(m) if m == "text" else iter(())
    )
    (warning,) = idle_balancer(task)
    assert "finds parameters of text alone in fusion 'sum'" in warning


@pytest.mark.parametrize(
    ("balancer", "first"),
    [
        ({"name": "mslr", "window": 2}, 3),
        ({"name": "balanced_resampling", "warmup": 3}, 4),
        ({"name": "gradient_blending", "every": 1}, 3),
    ],
)
def test_a_model_from_before_the_balancer_acted_is_said_to_be_one(balancer, first, tmp_path):
    """Two epochs end before it acts; in its first it is another model than with an idle one."""
    experiment = experiment_from({**SMALL, "balancer": balancer})
    (warning,) = run_experiment(experiment, RunStore(tmp_path)).warnings
    assert f"from epoch {first} on, but epoch 1 was the best" in warning
    task = built("sum", balancer["name"])
    waits = task.balancer.waits
    assert [bool(waiting_balancer(task, best)) for best in (waits, waits + 1)] == [waits > 0, False]


def test_those_that_wait_are_known():
    names = [name for name in BALANCERS.names() if name != "fixed_weights"]  # it has no default
    waiting = [name for name in names if built("sum", name).balancer.waits]
    assert waiting == ["balanced_resampling", "gradient_blending"]  # mslr as built here is fixed
