"""What is tuned of an experiment: what its parts declare, and what the study asks for."""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.registry import Part
from fusionlab.spaces import Range, Space, Spaces
from fusionlab.studies.checks import check, fuses, reads_content
from fusionlab.studies.inputs import as_given, readable

TUNED = ("inputs", "dim", "fusion", "recommender", "balancer", "augmentation", "training")
"""Sections that make a model. How it is judged, on what data and from which seed is no option of
it: to choose those by their score would be to choose the examination."""
JUDGED_ON = tuple(
    f"inputs.{change}.{key}"
    for change, keys in (
        ("missing", ("test", "modalities", "among", "seed")),
        ("noise", ("test", "modalities", "seed")),
    )
    for key in keys
)
"""Options of these sections that change the catalogue that a model is judged on."""


def options(experiment: Experiment) -> dict[str, FieldInfo]:
    """Every option that could be tuned, by dotted key; a part's own name stands for the part."""
    fields = {key: Experiment.model_fields[key] for key in TUNED}
    return {key: one for key, one in _leaves(experiment, fields, "") if key not in JUDGED_ON}


def _leaves(
    model: BaseModel, fields: Mapping[str, FieldInfo], above: str
) -> Iterator[tuple[str, FieldInfo]]:
    for key, field in fields.items():
        inner = getattr(model, key)
        named = isinstance(inner, Part)
        if named or not isinstance(inner, BaseModel):
            yield f"{above}{key}", field
        if isinstance(inner, BaseModel):
            own = {name: one for name, one in type(inner).model_fields.items() if name != "name"}
            yield from _leaves(inner, own if named else type(inner).model_fields, f"{above}{key}.")


def declared(experiment: Experiment) -> dict[str, Space]:
    """The spaces that sections and parts declare beside their options, by dotted key."""
    return dict(_declared(experiment, TUNED, ""))


def _declared(model: BaseModel, keys: Collection[str], above: str) -> Iterator[tuple[str, Space]]:
    for key in keys:
        inner = getattr(model, key)
        if not isinstance(inner, BaseModel):
            continue
        owner: Any = inner.registry[inner.name] if isinstance(inner, Part) else type(inner)
        space: Spaces = getattr(owner, "space", {})
        unknown = space.keys() - type(inner).model_fields
        if unknown:
            raise FusionlabError(
                f"{owner.__module__}.{owner.__qualname__}.space: found {sorted(unknown)}, expected "
                "options of the part"
            )
        yield from ((f"{above}{key}.{name}", one) for name, one in space.items())
        yield from _declared(inner, type(inner).model_fields, f"{above}{key}.")


def idle(experiment: Experiment, dataset: Dataset) -> tuple[str, ...]:
    """Keys, and heads of keys, of options that change nothing in this experiment."""
    found = []
    if not reads_content(experiment):
        found += ["inputs"]
    if not fuses(experiment):
        found += ["fusion", "augmentation", "training.modality_dropout"]
    seen = dataset if dataset.features is None else as_given(experiment, dataset)
    alone = seen.features is None or len(readable(experiment, seen.features).modalities) < 2
    return (*found, "balancer") if alone or not fuses(experiment) else tuple(found)


def space_of(
    experiment: Experiment,
    dataset: Dataset,
    asked: Mapping[str, Space | None],
    fixed: Collection[str] = (),
) -> dict[str, Space]:
    """What is tuned of an experiment, by dotted key in the order of the alphabet.

    ``asked`` adds to what is declared, replaces it, or (None) takes it away. ``fixed`` are keys
    that make the row what it is.

    Raises:
        ConfigError: a value of an asked space that the option does not take.
    """
    there, without = options(experiment), idle(experiment, dataset)
    found = {key: one for key, one in declared(experiment).items() if not under(key, asked)}
    found |= {key: one for key, one in asked.items() if one is not None and key in there}
    found = {key: one for key, one in found.items() if key not in fixed and not under(key, without)}
    for key, one in found.items():
        _check(experiment, dataset, key, one)
    return dict(sorted(found.items()))


def under(key: str, heads: Collection[str]) -> bool:
    """Is the key one of these, or beneath one?"""
    return any(key == head or key.startswith(f"{head}.") for head in heads)


def is_whole(experiment: Experiment, key: str) -> bool:
    """Does the option take whole numbers and no others?"""
    types = set(_flat_types(options(experiment)[key].annotation))
    return int in types and float not in types


def _flat_types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for one in typing.get_args(annotation):
        yield from _flat_types(one)


def _check(experiment: Experiment, dataset: Dataset, key: str, space: Space) -> None:
    """Every value at an end of a space must make an experiment that can be run."""
    for place, value in space.ends:
        try:
            changed = experiment.varied({key: value})
            if not key.startswith("training."):
                check(changed, dataset)
        except ConfigError as error:
            said = "; ".join(message for _, message, _ in error.problems)
            raise ConfigError([(("tune", "spaces", key, place), said)]) from None
        if isinstance(space, Range) and isinstance(value_at(changed, key), bool):
            raise ConfigError(
                [(("tune", "spaces", key), "found a range, expected a list: true or false")]
            )


def value_at(experiment: Experiment, key: str) -> Any:
    """The value of an option, as plain data; a part of its own options is its name."""
    value: Any = experiment.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value["name"] if isinstance(value, Mapping) and "name" in value else value
