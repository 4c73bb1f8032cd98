"""Validation that says what was found, what is allowed and which name is nearest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import core_schema

from fusionlab.errors import ConfigError, one_of, shown

M = TypeVar("M", bound=BaseModel)
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Of random draws: torch's generator tells no more of them apart."""


EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number greater than {gt:.10g}",
    "greater_than_equal": "at least {ge:.10g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number less than {lt:.10g}",
    "less_than_equal": "at most {le:.10g}",
    "model_type": "a mapping of keys",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_short": "at least {min_length} characters",
    "string_type": "text",
    "too_long": "a list of {max_length} at most",
    "too_short": "a list of {min_length} or more",
}
"""What was expected, by pydantic's name of the mistake."""
LISTS = ("list_type", "tuple_type")


def validate(model: type[M], value: Any) -> M:
    """Validate ``value`` against ``model``; every mistake becomes a line of one `ConfigError`."""
    if isinstance(value, model):
        return value
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        explained: dict[tuple[str, ...], list[str]] = {}
        for problem in error.errors():
            if _follows(problem):
                continue
            path, message = _explain(model, value, problem)
            explained.setdefault(path, []).append(message)
        raise ConfigError((path, _joined(said)) for path, said in explained.items()) from None
    if switches := [*_switches(value, found)]:
        raise ConfigError(switches)
    return found


def _switches(
    written: Any, read: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where pydantic, which takes true for 1, read a switch as a number; by path what is wrong."""
    if isinstance(written, bool) and isinstance(read, int | float) and not isinstance(read, bool):
        kind = EXPECTED["int_type" if isinstance(read, int) else "float_type"]
        yield path, f"found {shown(written)}, expected {kind}"
    elif isinstance(written, Mapping):
        for key, one in written.items():
            inner = read.get(key) if isinstance(read, Mapping) else getattr(read, str(key), None)
            yield from _switches(one, inner, (*path, str(key)))
    elif isinstance(written, list | tuple) and isinstance(read, list | tuple):
        for place, (one, inner) in enumerate(zip(written, read, strict=False)):
            yield from _switches(one, inner, (*path, str(place)))


def _follows(problem: Any) -> bool:
    """Is a list too short only because what is wrong in it was left out?"""
    length = problem.get("ctx", {}).get("actual_length")
    return bool(problem["type"] == "too_short" and length != len(problem["input"]))


def _joined(said: list[str]) -> str:
    """What is wrong with one value, which may be told of each branch of a union."""
    first, *others = dict.fromkeys(said)
    found = first.partition(", expected ")[0] + ", expected "
    return "; or ".join([first, *(one.removeprefix(found) for one in others)])


def _explain(model: type[BaseModel], value: Any, problem: Any) -> tuple[tuple[str, ...], str]:
    path = _written(value, problem["loc"])
    if problem["type"] == "extra_forbidden":
        aside = getattr(model, "aside", "")
        known = one_of(path[-1], [*_beneath(model, path[-1])] or model.model_fields)
        return path, "unknown key: " + "; ".join(filter(None, (known, aside)))
    if problem["type"] == "string_pattern_mismatch":
        field = model.model_fields.get(str(problem["loc"][0]))
        if field is not None and field.description:
            return path, f"found {problem['input']!r}, expected {field.description}"
    return path, said_of(problem)


def said_of(problem: Any) -> str:
    """What was found and what was expected, of one of pydantic's ``errors()``."""
    kind, found, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "missing":
        return "this key is required"
    if kind == "literal_error":
        return one_of(found, re.findall(r"'([^']*)'", context["expected"]))
    if kind == "json_invalid":
        return f"not valid JSON: {context['error']}"
    there = "null" if found is None else shown(found)
    if kind == "value_error":
        said = str(context["error"])
        if isinstance(found, Mapping) or "found" in said:
            return said
        return f"found {there}{', ' if said.startswith('expected') else ': '}{said}"
    if kind in LISTS or context.get("class") == "Sequence":
        alone = isinstance(found, str | int | float) and found != ""
        return f"found {there}, expected a list{f': [{found}]' if alone else ''}"
    if kind in EXPECTED:
        return f"found {there}, expected {EXPECTED[kind].format(**context)}"
    return f"found {there}: {problem['msg']}"


def said_by(error: Exception) -> str:
    """What is wrong with a file, in a line: the error of whoever read or checked its data."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), said_of(first))))
    return f"no key {error}" if isinstance(error, KeyError) else str(error) or repr(error)


def _beneath(model: type[BaseModel], key: str) -> Iterator[str]:
    """Where in the sections of ``model`` there is such a key."""
    for name, field in model.model_fields.items():
        for mark in field.metadata:
            inner = mark.model if isinstance(mark, Section) else field.annotation
            if key in getattr(inner, "model_fields", ()):
                yield f"{name}.{key}"
            elif isinstance(mark, Section):
                yield from (f"{name}.{one}" for one in _beneath(mark.model, key))


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
