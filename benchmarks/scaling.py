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
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rich.progress import track
from scaling_point import Setting, in_a_process, point
from scaling_report import exponents, panels, stages

from fusionlab.benchmarking.growth import FEWEST, Growth, fit_growth
from fusionlab.studies.record import environment
from fusionlab.terminal import say, show

TOLERANCE = 0.1
LIMIT_MB = 20_000
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
