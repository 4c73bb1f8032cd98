"""The loop: early stopping on validation, the best state kept, exact resumption."""

import pytest
import torch
from torch import nn

from fusionlab.balancing.contract import Step
from fusionlab.balancing.none import NoBalancer
from fusionlab.errors import FusionlabError
from fusionlab.schema import validate
from fusionlab.sections import Runtime, Training
from fusionlab.training import loop as loop_module
from fusionlab.training.loop import Loop


class Task:
    """Fits a line; its validation metric follows a given course."""

    select = "quality"

    def __init__(self, course=None, learning=True):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.balancer = NoBalancer(())
        self.course, self.validated = course, 0
        self.scale = 1.0 if learning else float("nan")

    def batches(self, generator):
        x = torch.randn(64, 3, generator=generator)
        yield from x.split(16)

    def step(self, batch, generator):
        noise = torch.randn(len(batch), 1, generator=generator)
        wrong = self.model(batch) - batch.sum(1, keepdim=True) - 0.1 * noise
        return Step(self.scale * wrong.square().mean())

    def validate(self):
        self.validated += 1
        if self.course is not None:
            return {"quality": self.course[self.validated - 1]}
        return {"quality": -float(self.model(torch.ones(1, 3)).sub(3).abs())}


def training(**options):
    return validate(Training, {"learning_rate": 0.01, **options})


def test_stops_when_validation_no_longer_rises_and_keeps_the_best():
    task = Task([0.1, 0.5, 0.5, 0.4, 0.3, 0.9])
    states = []
    loop = Loop(
        task,
        training(epochs=6, patience=3),
        Runtime(),
        seed=0,
        on_epoch=lambda entry: states.append(task.model[0].weight.detach().clone()),
    )
    progress = loop.run()
    assert progress.epochs == 5
    assert progress.best_epoch == 2
    assert torch.equal(task.model[0].weight, states[1])
    assert not task.model.training


def test_validates_every_few_epochs_and_at_the_end():
    task = Task([0.1, 0.2, 0.3])
    progress = Loop(task, training(epochs=5, validate_every=2), Runtime(), seed=0).run()
    assert [entry["epoch"] for entry in progress.history if "quality" in entry] == [2, 4, 5]


class Killed(Exception):
    pass


def test_resuming_repeats_the_bits(tmp_path, monkeypatch):
    options = training(epochs=8)
    whole = Task()
    reference = Loop(whole, options, Runtime(), seed=3).run()

    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    checkpoint = tmp_path / "checkpoint.pt"

    def kill(entry):
        if entry["epoch"] == 5:
            raise Killed

    with pytest.raises(Killed):
        Loop(Task(), options, Runtime(), seed=3, checkpoint=checkpoint, on_epoch=kill).run()
    torch.manual_seed(99)
    again = Task()
    resumed = Loop(again, options, Runtime(), seed=3, checkpoint=checkpoint).run()
    assert again.validated == 4
    for first, second in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(first, second)
    strip = [{k: v for k, v in entry.items() if k != "seconds"} for entry in reference.history]
    assert strip == [
        {k: v for k, v in entry.items() if k != "seconds"} for entry in resumed.history
    ]


def test_a_loss_that_is_not_a_number_stops_the_run():
    with pytest.raises(FusionlabError, match=r"became nan in epoch 1, step 1.*lower it"):
        Loop(Task(learning=False), training(epochs=3), Runtime(), seed=0).run()


@pytest.mark.parametrize("where", ["backward", "validate"])
def test_too_little_memory_on_the_gpu_is_one_error(where, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    task = Task([0.1])
    monkeypatch.setattr(task.balancer if where == "backward" else task, where, full)
    with pytest.raises(FusionlabError, match=r"lower training\.batch_size \(now 2048\).*9 GiB"):
        Loop(task, training(epochs=1), Runtime(), seed=0).run()
