"""The training loop: one for every task, with early stopping, checkpoints and exact resumption."""

from __future__ import annotations

import statistics
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fusionlab.balancing.contract import Balancer, Coalition, Epoch, Step, name_of
from fusionlab.balancing.signals import Signals
from fusionlab.data.disk import whole, writing
from fusionlab.errors import FusionlabError
from fusionlab.plugins import is_own, place
from fusionlab.sections import Runtime, Training
from fusionlab.training.diverged import Watch
from fusionlab.training.memory import enough_for
from fusionlab.training.micro_batches import MicroBatches
from fusionlab.training.optimizer import EagerAdamW, parameter_groups

CHECKPOINT_SECONDS = 20.0
OnEpoch = Callable[[dict[str, float]], None]
Stop = Callable[[Sequence[dict[str, float]]], bool]


class Task(Protocol):
    """What the loop trains: a model, batches of an epoch, steps, and its validation metrics."""

    @property
    def model(self) -> nn.Module:
        """The model, on its device."""

    @property
    def select(self) -> str:
        """The validation metric that early stopping follows."""

    def batches(self, generator: torch.Generator) -> Iterator[Any]:
        """The batches of one epoch."""

    @property
    def balancer(self) -> Balancer:
        """What turns a step into gradients."""

    def step(self, batch: Any, generator: torch.Generator) -> Step:
        """One batch, gone forward."""

    def validate(self) -> dict[str, float]:
        """Metrics on validation."""

    def validation_losses(self, coalitions: Sequence[Coalition]) -> dict[Coalition, float]:
        """Mean losses by coalition on validation, for a balancer that reads them."""


@dataclass
class Progress:
    """How far training has come; everything in it survives an interruption."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: float = float("-inf")
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    finished: bool = False
    stopped: bool = False
    micro_batch: int | None = None
    """The most examples that were gone through at once, where steps are computed in parts."""

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def seconds_per_epoch(self) -> float:
        """Median seconds of training, validation not counted."""
        return statistics.median([entry["seconds"] for entry in self.history] or [0.0])


class Loop:
    """Trains a task until its validation metric stops rising, and leaves the best model behind.

    Args:
        task: what to train.
        training: epochs, optimiser, patience.
        runtime: device and precision.
        seed: of the order of batches, negatives and dropout.
        checkpoint: a file to resume from and to save to every 20 seconds (None: do neither).
            Resuming repeats the bits of an uninterrupted run.
        on_epoch: called with the history entry of each epoch.
        stop: asked after each validation, with the history so far, whether to give up here.
    """

    def __init__(
        self,
        task: Task,
        training: Training,
        runtime: Runtime,
        *,
        seed: int,
        checkpoint: Path | None = None,
        on_epoch: OnEpoch | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.task, self.training, self.runtime = task, training, runtime
        self.checkpoint, self.on_epoch, self.stop = checkpoint, on_epoch, stop
        self.generator = torch.Generator(runtime.device).manual_seed(seed)
        self.signals = Signals(task.balancer, task.model, training.signals_every, self._aside)
        self.optimizer = EagerAdamW(
            parameter_groups(nn.ModuleList([task.model, task.balancer])),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self.progress = Progress()
        self.micro_batches = MicroBatches(task.balancer, training)

    def run(self) -> Progress:
        """Train to the end and load the best state into the model."""
        if self.checkpoint is not None and _whole(self.checkpoint):
            self._resume(self.checkpoint)
        saved = time.monotonic()
        while not self.progress.finished:
            self._epoch()
            if self.checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save(self.checkpoint)
                saved = time.monotonic()
        self.task.model.load_state_dict(self.progress.best_state)
        self.task.model.eval()
        return self.progress

    def _epoch(self) -> None:
        started = time.perf_counter()
        with enough_for(self.training):
            loss = self.train_epoch()
        entry = {"epoch": self.progress.epochs + 1, "loss": loss}
        entry["seconds"] = time.perf_counter() - started
        if self.micro_batches.size is not None:
            entry["micro_batch"] = self.progress.micro_batch = self.micro_batches.size
        entry |= self.signals.of_the_epoch(self.progress.history[-1:])
        last = entry["epoch"] >= self.training.epochs
        if entry["epoch"] % self.training.validate_every == 0 or last:
            self.task.model.eval()
            with torch.no_grad(), enough_for(self.training), self.watch.validating():
                entry |= self.task.validate()
            self._judge(entry)
            self._tell(entry)
        self.progress.finished |= last
        self.progress.history.append(entry)
        if self.stop is not None and self.task.select in entry and not self.progress.finished:
            self.progress.stopped = self.progress.finished = self.stop(self.progress.history)
        if self.on_epoch is not None:
            self.on_epoch(entry)

    def train_epoch(self) -> float:
        """One pass over the batches; the mean loss."""
        self.task.model.train()
        self.task.balancer.train()
        total = torch.zeros((), device=self.runtime.device)
        watch = Watch(self.runtime.device, self.progress.epochs + 1, self.training.learning_rate)
        self.watch = watch
        for batch in self.task.batches(self.generator):
            if self.runtime.cuda_graphs:
                torch.compiler.cudagraph_mark_step_begin()  # the last step's tensors are done with
            step, loss, examples = self.micro_batches.backward(batch, self._step, self._clear)
            total += loss
            self.signals.hear(step, watch.steps)
            watch.see(loss, examples)
            self.task.balancer.update(step, self.optimizer.step)
        watch.look()
        return float(total) / max(watch.steps, 1)

    def _step(self, batch: Any) -> Step:
        with self._autocast():
            step = self.task.step(batch, self.generator)
        if not step.joint.requires_grad:
            parts = [one for one in (step.fusion, self.task.model) if one is not None]
            blamed = [one for one in parts if not is_own(type(one))] or parts
            raise FusionlabError(
                f"{' or '.join(place(type(one)) for one in blamed)}: found a loss without a "
                "gradient, expected views and scores that are computed from trained parameters, "
                "with nothing detached"
            )
        return step

    def _clear(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    def _autocast(self) -> torch.autocast:
        device, bf16 = torch.device(self.runtime.device), self.runtime.precision == "bf16"
        return torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """In the run's precision and uncompiled: code of other inputs, compiled for a few steps of
        an epoch, would cost more than it saves, and take the place of graphs that are replayed."""
        compiled = self.runtime.compile or self.runtime.cuda_graphs
        eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
        with self._autocast(), eager:
            yield

    def _judge(self, entry: dict[str, float]) -> None:
        value = entry[self.task.select]
        if value > self.progress.best:
            self.progress.best, self.progress.best_epoch = value, int(entry["epoch"])
            self.progress.best_state = {
                name: tensor.detach().clone()
                for name, tensor in self.task.model.state_dict().items()
            }
        waited = (entry["epoch"] - self.progress.best_epoch) / self.training.validate_every
        self.progress.finished = waited >= self.training.patience

    def _tell(self, entry: dict[str, float]) -> None:
        """Tell the balancer of the epoch; what it asked for stands in the history too."""
        balancer, train, valid = self.task.balancer, {}, {}
        if balancer.validates:
            valid = self.task.validation_losses((*balancer.alone, balancer.together))
            names = {one: name_of(one, balancer.modalities) for one in balancer.coalitions}
            train = {one: entry.get(f"heard_loss.{name}", 0.0) for one, name in names.items()}
            for one, loss in valid.items():
                entry[f"valid_loss.{name_of(one, balancer.modalities)}"] = loss
        balancer.after_epoch(Epoch(int(entry["epoch"]), train, valid))

    def _save(self, file: Path) -> None:
        state = {
            "model": self.task.model.state_dict(),
            "balancer": self.task.balancer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "torch": self._device_state(),
            "progress": vars(self.progress),
        }
        with writing(file), whole(file) as draft:
            torch.save(state, draft)

    def _resume(self, file: Path) -> None:
        try:
            state = torch.load(file, map_location=self.runtime.device, weights_only=True)
            self._restore(state)
        except Exception as error:  # torch fails on bad bytes in every way there is
            raise FusionlabError(
                f"{file}: no checkpoint of this run ({error}); delete it, and the run begins anew"
            ) from None

    def _restore(self, state: dict[str, Any]) -> None:
        self.task.model.load_state_dict(state["model"])
        self.task.balancer.load_state_dict(state["balancer"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        if self.generator.device.type == "cuda":
            torch.cuda.set_rng_state(state["torch"].cpu(), self.generator.device)
        else:
            torch.set_rng_state(state["torch"].cpu())
        self.progress = Progress(**state["progress"])
        self.micro_batches.size = self.progress.micro_batch or self.micro_batches.size

    def _device_state(self) -> Tensor:
        """State of the generator that dropout and sampling inside modules draw from."""
        if self.generator.device.type == "cuda":
            return torch.cuda.get_rng_state(self.generator.device)
        return torch.get_rng_state()


def _whole(file: Path) -> bool:
    """Is there a checkpoint, as it was written? torch checks no sums, but its files are archives
    that have them. Without one training begins anew, and ends with the same bits."""
    if not file.is_file():
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except (OSError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        bad = str(error)
    if bad is not None:
        warnings.warn(
            f"{file}: was cut off or changed since it was written ({bad}); training begins anew",
            stacklevel=2,
        )
    return bad is None
