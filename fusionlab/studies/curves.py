"""What a trained model is worth in worlds that get worse: more missing, or more noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fusionlab.data.worlds import World
from fusionlab.evaluation.result import Evaluation
from fusionlab.sections import Curves

if TYPE_CHECKING:
    from fusionlab.studies.build import AnyTask

AREAS = ("missing area", "noise area")
"""The areas under the two curves, after the name of the metric."""


def at_missing(share: float) -> str:
    """How a metric where this share is missing is called, after its name."""
    return f"at {100 * share:g}% missing"


def at_noise(level: float) -> str:
    """How a metric at this level of noise is called, after its name."""
    return f"at noise {level:g}"


def curve_names(curves: Curves) -> list[str]:
    """What stands after a metric's name for each point of the curves and for their areas."""
    named = [(AREAS[0], at_missing, curves.missing), (AREAS[1], at_noise, curves.noise)]
    return [name for area, at, rates in named if rates for name in (*map(at, rates), area)]


def with_curves(
    curves: Curves,
    task: AnyTask,
    splits: Mapping[str, Any],
    whole: Mapping[str, Evaluation],
    found: Mapping[str, Evaluation],
) -> dict[str, Evaluation]:
    """``found``, and each metric of single users in ``whole`` at each rate of the curves.

    ``NAME at 25% missing``: judged where that share of the items lacks the modalities, and ``NAME
    at noise 0.5``: where their features are that noisy; each in place of what the configured test
    world says of it, all else as there. ``NAME missing area`` is the area under the curve divided
    by the range of the rates, by trapezoids: a weighted mean of the points, of each user.

    ``whole`` is the judgement in the test world itself; where a point of a curve is that world it
    is not judged again. A model that reads no features is the same everywhere.
    """
    judged: dict[World | None, Mapping[str, Evaluation]] = {None: whole}
    if task.worlds is not None:
        judged[task.worlds.judged] = whole

    def at(**change: Any) -> Mapping[str, Evaluation]:
        world = None if task.worlds is None else replace(task.worlds.judged, **change)
        if world not in judged:
            assert world is not None
            assert task.worlds is not None
            judged[world] = task.judge(splits, features=task.worlds.of(world))
        return judged[world]

    names = curves.modalities
    lost = [at(share=x, lacking=names, among=curves.among) for x in curves.missing]
    noisy = [at(level=x, noisy=names) for x in curves.noise]
    for area, label, rates, points in (
        (AREAS[0], at_missing, curves.missing, lost),
        (AREAS[1], at_noise, curves.noise, noisy),
    ):
        if rates:
            named = dict(zip(map(label, rates), points, strict=True))
            found = {split: _beside(found[split], split, named, rates, area) for split in found}
    return dict(found)


def _beside(
    result: Evaluation,
    split: str,
    points: Mapping[str, Mapping[str, Evaluation]],
    rates: Sequence[float],
    area: str,
) -> Evaluation:
    per_unit = dict(result.per_unit)
    first = next(iter(points.values()))[split]
    for metric in first.per_unit:
        values = [judged[split].per_unit[metric] for judged in points.values()]
        named = zip(points, values, strict=True)
        per_unit |= {f"{metric} {point}": found for point, found in named}
        per_unit[f"{metric} {area}"] = mean_height(values, rates)
    return replace(result, per_unit=per_unit)


def mean_height(values: Sequence[Tensor], rates: Sequence[float]) -> Tensor:
    """The area under each unit's curve by trapezoids, over the range of the rates (n,)."""
    x = torch.tensor(rates, dtype=torch.float64)
    return torch.trapezoid(torch.stack(list(values)).double(), x, dim=0) / (x[-1] - x[0])
