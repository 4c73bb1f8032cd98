"""How time and memory grow with users, items, clicks, modalities and the width of features.

    python benchmarks/scaling.py --out scaling.json --plot scaling.png
    python benchmarks/scaling.py --only items --points 5
    python benchmarks/scaling.py --large

Every point is a process of its own, so that its peak memory is its own, and trains and judges a
recommender by the calls that `fusionlab run` makes, on random clicks and features. The sizes of an
axis are measured in turn, round after round, so that a machine's slow minutes fall on all of them.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rich.progress import track
from scaling_data import random_dataset
from scaling_report import exponents, panels, stages

from fusionlab.benchmarking.growth import FEWEST, Growth, fit_growth
from fusionlab.config import experiment_from
from fusionlab.studies.build import build_task
from fusionlab.studies.memory import peak_mb, reset_peak
from fusionlab.studies.record import environment
from fusionlab.studies.run import configure
from fusionlab.terminal import say, show
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask

TOLERANCE = 0.1
LIMIT_MB = 20_000


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
LARGE = Setting(
    users=1_000_000,
    items=2_000_000,
    clicks=50_000_000,
    dim=64,
    batch=65_536,
    judged=5_000,
    epochs=1,
)


@dataclass(frozen=True)
class Axis:
    """Where a size starts to grow, what must grow in proportion to it, and other sizes beside it.

    It starts where what grows is more than what stands: below, a fit divides the noise of the
    constant part by little. With the sizes beside it five points hold some gigabytes at most: more
    may be slow to get on a virtual machine (`docs/performance.md`).
    """

    start: int
    judged: tuple[str, ...]
    beside: Mapping[str, int] = field(default_factory=dict)


# Left out are costs that a size enters only in part or not at all. Preparation sees clicks in one
# sort beside all the features. An epoch sees items and users through AdamW, which moves whole
# tables, beside steps that depend on clicks alone. Evaluating a fixed number of users does not see
# the others or their clicks. Steps and ranking work on D columns whatever the features are, so
# modalities and width enter only through the projection.
AXES = {
    "clicks": Axis(2_097_152, ("epoch", "memory"), {"users": 65_536, "epochs": 1}),
    "items": Axis(131_072, ("prepare", "evaluation", "memory"), {"clicks": 131_072, "dim": 16}),
    "users": Axis(131_072, ("memory",)),
    "modalities": Axis(1, ("prepare", "memory"), {"items": 65_536}),
    "width": Axis(32, ("prepare", "memory"), {"items": 65_536}),
}
QUANTITIES = ("prepare", "epoch", "evaluation", "memory")


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
    command = [sys.executable, __file__, "--point", json.dumps(asdict(setting))]
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


def grow(axis: str, sizes: Sequence[int], rounds: int, base: Setting) -> list[dict[str, Any]]:
    """Measure all sizes in turn, and that several times."""
    settings = {size: replace(base, **{axis: size}) for size in sizes}
    found: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for _ in track(range(rounds), f"growing {axis}"):
        for size, setting in settings.items():
            found[size].append(in_a_process(setting))
    points = [
        {"axis": axis, "size": size, **point(setting, found[size])}
        for size, setting in settings.items()
    ]
    for one in points:
        figures = ", ".join(f"{name} {one['figures'][name]:.4g}" for name in QUANTITIES)
        say(f"{axis} {one['size']:,}: {figures}")
    return points


def growth(points: Sequence[dict[str, Any]]) -> dict[str, dict[str, Growth]]:
    """The fit of every quantity along every axis that was measured."""
    fits: dict[str, dict[str, Growth]] = {}
    for axis in dict.fromkeys(found["axis"] for found in points):
        along = [found for found in points if found["axis"] == axis]
        sizes = [found["size"] for found in along]
        fits[axis] = {
            name: fit_growth(sizes, [found["figures"][name] for found in along])
            for name in QUANTITIES
        }
    return fits


def main() -> None:
    options = arguments()
    if options.point:
        asked = Setting(**json.loads(options.point))
        # What is loaded late and kept, such as threads and their buffers, is no cost of a size.
        measure(replace(asked, **TINY))
        print(json.dumps(measure(asked)))
        return
    given = {name: getattr(options, name) for name in asdict(Setting())}
    given = {name: value for name, value in given.items() if value is not None}
    if options.large:
        large(replace(LARGE, **given))
        return
    if options.read:
        points = json.loads(options.read.read_text())["points"]
    else:
        axes = {name: axis for name, axis in AXES.items() if options.only in (None, name)}
        points = []
        for name, axis in axes.items():
            start = given.get(name, axis.start)
            sizes = [start * 2**k for k in range(options.points)]
            base = replace(Setting(), **{**axis.beside, **given})
            points += grow(name, sizes, options.rounds, base)
            if options.out:  # after every axis: it takes long
                write(points, options.out)
    fits = growth(points)
    judged = {axis: AXES[axis].judged for axis in fits}
    show(exponents(points, fits, judged, TOLERANCE))
    if options.plot:
        panels(points, fits, judged).savefig(options.plot, dpi=200)


def write(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Points and fits as JSON, for `--read`."""
    laws = {axis: {n: asdict(law) for n, law in of.items()} for axis, of in growth(points).items()}
    content = {"environment": environment(), "points": list(points), "growth": laws}
    path.write_text(json.dumps(content, indent=1))


def large(setting: Setting) -> None:
    """One point: its stages, and whether it stays within the limit."""
    found = point(setting, [in_a_process(setting)])
    show(stages(found, LIMIT_MB))


def arguments() -> argparse.Namespace:
    """The command line: what to measure, and every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=AXES, help="grow this size alone")
    parser.add_argument("--points", type=int, default=5, help="powers of two (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="over all sizes (default: 3)")
    parser.add_argument("--out", type=Path, help="write points and fits as JSON")
    parser.add_argument("--read", type=Path, help="take the points from a JSON written before")
    parser.add_argument("--plot", type=Path, help="draw a panel an axis")
    parser.add_argument("--large", action="store_true", help="one point of 50 million clicks")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    for item in fields(Setting):
        kind = type(item.default)
        shown = f"default: {item.default}, with --large {getattr(LARGE, item.name)}"
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=kind, help=shown)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds: found {options.rounds}, expected at least 1")
    if options.points < FEWEST:
        parser.error(f"--points: found {options.points}, expected at least {FEWEST} for a fit")
    return options


if __name__ == "__main__":
    main()
