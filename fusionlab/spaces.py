"""Search spaces: between which values, or among which, a tuner looks for an option.

A part declares what is worth tuning in it beside its options:

    class LowRankTensor(Fusion):
        space: ClassVar[Spaces] = {"rank": Range(low=1, high=16, log=True)}

Only options that weigh, regularise or pace belong there, with bounds that a first search should
have; what makes a model larger is for the user to ask for, under ``tune.spaces``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic_core import core_schema

from fusionlab.errors import ConfigError
from fusionlab.schema import field_of, json_schema, read_by_name, validate


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, both included.

    Whole numbers where the option takes no others. ``log``: as many below the geometric mean of
    the bounds as above it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _rises(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"expected low < high, found {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low > 0 where log is true, found {self.low}")
        return self

    @property
    def ends(self) -> Iterator[tuple[str, Any]]:
        """The values that stand for all, and where each is written."""
        yield from (("low", self.low), ("high", self.high))

    def holds(self, value: Any) -> bool:
        """Is the value one of those that are looked at?"""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


class Choice(BaseModel):
    """Any of ``choices``, which have no order."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    choices: tuple[Any, ...]

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        if len({json.dumps(one, sort_keys=True) for one in choices}) < max(len(choices), 2):
            raise ValueError("expected at least two values, each once")
        return choices

    @property
    def ends(self) -> Iterator[tuple[str, Any]]:
        """Every value, and where each is written."""
        yield from ((f"choices[{place}]", value) for place, value in enumerate(self.choices))

    def holds(self, value: Any) -> bool:
        """Is the value one of those that are looked at?"""
        return json.dumps(value, sort_keys=True) in {
            json.dumps(one, sort_keys=True) for one in self.choices
        }

    def __str__(self) -> str:
        return " | ".join(map(json.dumps, self.choices))


Space = Range | Choice
Spaces = Mapping[str, Space]
"""What is tuned, by the name of the option."""


def read_space(value: Any) -> Space:
    """``{low: 1, high: 9, log: true}``, ``[a, b]`` or ``{choices: [a, b]}``, validated."""
    if isinstance(value, Range | Choice):
        return value
    if isinstance(value, list | tuple):
        return validate(Choice, {"choices": value})
    if not isinstance(value, Mapping):
        expected = "{low: ..., high: ..., log: true or false} or a list of values"
        raise ConfigError([((), f"found {value!r}, expected {expected}")])
    return validate(Choice, value) if "choices" in value else validate(Range, value)


class SpacesByKey:
    """Marks a pydantic field that holds spaces by dotted key, or null: not to be tuned.

    Keys may be nested: ``{training: {negatives: [1, 4]}}`` is ``{training.negatives: [1, 4]}``.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda spaces: {key: one and one.model_dump() for key, one in spaces.items()}
            ),
        )

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> dict[str, Space | None]:
        expected = "dotted keys, and the space of each"
        flat = dict(_flat(value)) if isinstance(value, Mapping) else value
        return read_by_name(flat, field_of(info), expected, read_space)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        one = [json_schema(Range), json_schema(Choice), {"type": "array"}, {"type": "null"}]
        return {"type": "object", "additionalProperties": {"anyOf": one}}


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, one in value.items():
        inner = isinstance(one, Mapping) and not {"low", "high", "choices"} & set(one)
        if inner and one:
            yield from _flat(one, f"{above}{key}.")
        else:
            yield f"{above}{key}", one
