"""The experiments of a study's strategies: a grid of its axes, or one change of the base a row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fusionlab.config import Experiment, Study
from fusionlab.errors import ConfigError
from fusionlab.layers import dotted
from fusionlab.registry import part_label

BASE = "base"
"""The label of the row that the others of a one-at-a-time design differ from in one thing."""

AS_IT_CAME, TUNED = "zero-shot", "fine-tuned"


def variants(study: Study) -> Iterator[tuple[str, Experiment]]:
    """The strategies' experiments by label, as ``design``, ``axes`` and ``drop`` ask.

    Raises:
        ConfigError: an axis over seeds, a value that an experiment does not take, ``drop`` beside a
            grid, or a component whose dropping changes nothing.
    """
    if "seed" in study.axes:
        raise ConfigError([(("axes", "seed"), "a row is a mean over seeds: name them in `seeds`")])
    if study.design == "grid":
        if study.drop:
            problem = "found components beside a grid, expected design: one_at_a_time"
            raise ConfigError([(("drop",), problem)])
        return _grid(study)
    return _one_at_a_time(study)


def _grid(study: Study) -> Iterator[tuple[str, Experiment]]:
    """Every combination of the axes' values."""
    keys = list(study.axes)
    for values in itertools.product(*(enumerate(study.axes[key]) for key in keys)):
        changes = {key: value for key, (_, value) in zip(keys, values, strict=True)}
        places = [f"axes.{key}[{index}]" for key, (index, _) in zip(keys, values, strict=True)]
        experiment = _varied(study, changes, ", ".join(places))
        label = ", ".join(_label(key, value, study.axes[key]) for key, value in changes.items())
        yield label or experiment.fusion.name, experiment


def _one_at_a_time(study: Study) -> Iterator[tuple[str, Experiment]]:
    """The base; every value of an axis that is not the base's, alone; the base without each
    component."""
    base = study.experiment
    yield BASE, base
    for key, values in study.axes.items():
        for index, value in enumerate(values):
            experiment = _varied(study, {key: value}, f"axes.{key}[{index}]")
            if experiment != base:
                yield _label(key, value, values), experiment
    for label, changes in study.drop.items():
        experiment = _varied(study, changes, f"drop.{label}")
        if experiment == base:
            problem = f"found {changes}, which the base is already, expected a change"
            raise ConfigError([(("drop", label), problem)])
        yield label, experiment


def _varied(study: Study, changes: Mapping[str, Any], place: str) -> Experiment:
    try:
        return study.experiment.varied(changes)
    except ConfigError as error:
        raise error.under(place) from None


def _label(key: str, value: Any, axis: Sequence[Any]) -> str:
    """``gated``, ``gated (gate=sigmoid)`` for a fusion; ``modality_dropout=0.3`` for a number."""
    if key == "transfer":
        return _transfer_label(value, axis)
    if key == "transfer.tune":
        return TUNED if value else AS_IT_CAME
    if isinstance(value, Mapping):
        value = part_label(value)
    short = key.rsplit(".", 1)[-1]
    return str(value) if short == "fusion" else f"{short}={value}"


def _transfer_label(value: Mapping[str, Any] | None, axis: Sequence[Any]) -> str:
    """``zero-shot``, ``fine-tuned`` or ``from scratch``; where sources along the axis differ also
    by what: ``zero-shot (seed=1)``."""
    if value is None:
        return "from scratch"
    words = TUNED if value.get("tune") else AS_IT_CAME
    own, *others = (dotted(one.get("source", {})) for one in (value, *axis) if one)
    different = [
        f"{key.rsplit('.', 1)[-1]}={found}"
        for key, found in own.items()
        if any(other.get(key) != found for other in others)
    ]
    return f"{words} ({', '.join(different)})" if different else words
