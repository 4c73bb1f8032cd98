"""One point of `scaling.py`: what training and judging take, by stage, in a process of its own.

`scaling.py` starts this file with the sizes as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scaling_data import random_dataset

from fusionlab.config import experiment_from
from fusionlab.studies.build import build_task
from fusionlab.studies.memory import peak_mb, reset_peak
from fusionlab.studies.run import configure
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask


@dataclass(frozen=True)
class Setting:
    """The sizes of one point, and by what it is trained."""

    users: int = 16_384
    items: int = 16_384
    clicks: int = 524_288
    modalities: int = 2
    width: int = 64
    dim: int = 32
    batch: int = 8_192
    judged: int = 2_000
    epochs: int = 2
    threads: int = 2
    held_in: str = "fp32"
    fusion: str = "concat"
    recommender: str = "hybrid"


TINY: dict[str, Any] = {
    "users": 300,
    "items": 300,
    "clicks": 3_000,
    "modalities": 1,
    "width": 8,
    "epochs": 1,
}


@dataclass
class Meter:
    """Seconds and peak memory from one lap to the next, above what stood in memory at the start."""

    floor: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        reset_peak("cpu")
        self.floor = peak_mb("cpu")
        self.started = time.perf_counter()

    def lap(self, name: str) -> None:
        self.seconds.setdefault(name, []).append(time.perf_counter() - self.started)
        peak = peak_mb("cpu") - self.floor
        self.memory_mb[name] = max(peak, self.memory_mb.get(name, 0.0))
        reset_peak("cpu")
        self.started = time.perf_counter()


class Metered:
    """A task whose validation ends the lap of the epoch before it and is a lap itself."""

    def __init__(self, task: RankingTask, meter: Meter) -> None:
        self.task, self.meter = task, meter
        self.model, self.select = task.model, task.select
        self.batches, self.step = task.batches, task.step
        self.balancer, self.validation_losses = task.balancer, task.validation_losses

    def validate(self) -> dict[str, float]:
        self.meter.lap("epoch")
        metrics = self.task.validate()
        self.meter.lap("evaluation")
        return metrics


def measure(setting: Setting) -> dict[str, Any]:
    """Train and judge: of each stage the seconds of every lap, and the highest peak."""
    experiment = experiment_from(
        {
            "dataset": "synthetic",  # stands for the random one, which has no configuration
            "dim": setting.dim,
            "fusion": setting.fusion,
            "recommender": setting.recommender,
            "training": {"batch_size": setting.batch, "epochs": setting.epochs},
            "evaluation": {"users": setting.judged},
            "runtime": {"threads": setting.threads, "features": setting.held_in},
        }
    )
    configure(experiment.runtime, seed=0)
    meter = Meter()
    dataset = random_dataset(
        setting.users, setting.items, setting.clicks, setting.modalities, setting.width
    )
    give_back()
    meter.lap("data")
    task = build_task(experiment, dataset)
    assert isinstance(task, RankingTask)
    task.prepare()
    loop = Loop(Metered(task, meter), experiment.training, experiment.runtime, seed=0)
    meter.lap("prepare")
    loop.run()
    return {"seconds": meter.seconds, "memory_mb": meter.memory_mb}


def give_back() -> None:
    """Give what is free to the system: what drawing the data left free is no cost of a size."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # of glibc alone
        libc.malloc_trim(0)


def in_a_process(setting: Setting) -> dict[str, Any]:
    """Measure a setting in a fresh process."""
    command = [sys.executable, __file__, json.dumps(asdict(setting))]
    threads = {"OMP_NUM_THREADS": str(setting.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        command, env=os.environ | threads, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def point(setting: Setting, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several rounds found of a setting: median seconds and the highest peaks."""
    seconds = {
        name: statistics.median(lap for found in rounds for lap in found["seconds"][name])
        for name in rounds[0]["seconds"]
    }
    peaks = {
        name: max(found["memory_mb"][name] for found in rounds) for name in rounds[0]["memory_mb"]
    }
    stages = ("prepare", "epoch", "evaluation")  # how the random data came about is no cost
    figures = seconds | {"memory": max(peaks[stage] for stage in stages)}
    return {
        "setting": asdict(setting),
        "seconds": seconds,
        "memory_mb": peaks,
        "figures": figures,
        "rounds": list(rounds),
    }


def main() -> None:
    """Measure the sizes that the one argument holds as JSON, and print what was found as JSON."""
    asked = Setting(**json.loads(sys.argv[1]))
    # What is loaded late and kept, such as threads and their buffers, is no cost of a size.
    measure(replace(asked, **TINY))
    print(json.dumps(measure(asked)))


if __name__ == "__main__":
    main()
