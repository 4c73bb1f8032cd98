"""Validation that says what was found, what is allowed and which name is nearest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import core_schema

from fusionlab.errors import ConfigError, one_of

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], value: Any) -> M:
    """Validate ``value`` against ``model``; every mistake becomes a line of one `ConfigError`."""
    if isinstance(value, model):
        return value
    try:
        return model.model_validate(value)
    except ValidationError as error:
        explained: dict[tuple[str, ...], list[str]] = {}
        for problem in error.errors():
            path, message = _explain(model, value, problem)
            explained.setdefault(path, []).append(message)
        raise ConfigError((path, "; or ".join(said)) for path, said in explained.items()) from None


def _explain(model: type[BaseModel], value: Any, problem: Any) -> tuple[tuple[str, ...], str]:
    path = _written(value, problem["loc"])
    if problem["type"] == "extra_forbidden":
        aside = getattr(model, "aside", "")
        known = one_of(path[-1], model.model_fields)
        return path, "unknown key: " + "; ".join(filter(None, (known, aside)))
    if problem["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        return path, one_of(problem["input"], allowed)
    if problem["type"] == "missing":
        return path, "this key is required"
    return path, f"found {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _written(value: Any, location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys of ``location`` that the user wrote (pydantic adds the branches of a union)."""
    path = []
    for depth, key in enumerate(location):
        inside = isinstance(value, Mapping) and key in value
        inside |= isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)
        if inside or depth == 0:
            path.append(str(key))
        if inside:
            value = value[key]
    return tuple(path)


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a model, with what it refers to put in place: so it can stand in another.

    No model may contain itself.
    """
    found = model.model_json_schema()
    definitions = found.pop("$defs", {})

    def placed(node: Any) -> Any:
        if isinstance(node, list):
            return [placed(one) for one in node]
        if not isinstance(node, dict):
            return node
        rest = {key: placed(value) for key, value in node.items() if key != "$ref"}
        if isinstance(node.get("$ref"), str):
            return placed(definitions[node["$ref"].removeprefix("#/$defs/")]) | rest
        return rest

    return dict(placed(found))


def field_of(info: core_schema.ValidationInfo) -> tuple[str, ...]:
    """The key that pydantic is validating, as a path."""
    return (info.field_name,) if info.field_name else ()


@dataclass(frozen=True)
class Section:
    """Marks a pydantic field that holds a nested model, so that errors carry the whole key path."""

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda section: section.model_dump()
            ),
        )

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> BaseModel:
        try:
            return validate(self.model, value)
        except ConfigError as error:
            raise error.under(*field_of(info)) from None

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return json_schema(self.model)


def read_by_name(
    value: Any, field: tuple[str, ...], expected: str, read: Callable[[Any], M]
) -> dict[str, M | None]:
    """A mapping of names to what ``read`` makes of each, or null; all errors at once."""
    if not isinstance(value, Mapping):
        raise ConfigError([(field, f"found {value!r}, expected {expected}")])
    found: dict[str, M | None] = {}
    problems: list[tuple[tuple[str, ...], str, str]] = []
    for name, one in value.items():
        try:
            found[str(name)] = None if one is None else read(one)
        except ConfigError as error:
            problems += error.under(*field, str(name)).problems
    if problems:
        raise ConfigError(problems)
    return found


@dataclass(frozen=True)
class Sections:
    """Marks a pydantic field that holds nested models by name, or null, so that errors name it."""

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda sections: {name: one and one.model_dump() for name, one in sections.items()}
            ),
        )

    def _validate(
        self, value: Any, info: core_schema.ValidationInfo
    ) -> dict[str, BaseModel | None]:
        expected = "names and their sections"
        return read_by_name(value, field_of(info), expected, lambda one: validate(self.model, one))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        one = {"anyOf": [json_schema(self.model), {"type": "null"}]}
        return {"type": "object", "additionalProperties": one}
