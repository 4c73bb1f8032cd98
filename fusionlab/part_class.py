"""What the class of a part must be like, told before anything is built, and what it documents."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Collection, Iterator
from enum import Enum
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from fusionlab.errors import FusionlabError
from fusionlab.plugins import line_of, place, source_file

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_class(cls: type, base: type) -> None:
    """FusionlabError if ``cls`` leaves open, or states otherwise, what its contract ``base`` asks:
    abstract methods, class attributes, the arguments of methods, options that are none."""
    for problem in (*_left_open(cls, base), *_other_arguments(cls, base), *_no_options(cls, base)):
        raise FusionlabError(f"{place(cls)}{problem}")


def build(cls: type, base: type, runtime: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A part; FusionlabError if its ``__init__`` does not call that of ``base``.

    In two steps, to see how far it was made where its own ``__init__`` fails.
    """
    part: Any = cls.__new__(cls)  # type: ignore[call-overload]
    try:
        part.__init__(*runtime, **options)
    except (AttributeError, TypeError) as error:
        if _begun(part, base):
            raise
        line = line_of(error, source_file(cls))
        raise FusionlabError(f"{_uncalled(cls, base)}; line {line}: {error}") from error
    if not _begun(part, base):
        raise FusionlabError(_uncalled(cls, base))
    return part


def option_types(cls: type, taken: Collection[str]) -> dict[str, Any]:
    """The type of each keyword-only argument; FusionlabError if one has none, or a ``taken`` name.

    Not when the class is registered: a type may stand further down in the file.
    """
    init = _init(cls)
    where, found = f"{place(cls)}.__init__", inspect.signature(init).parameters
    try:
        types = typing.get_type_hints(init, include_extras=True)
    except NameError as error:
        expected = "expected types that the file defines or imports"
        raise FusionlabError(f"{where}: {error}, {expected}") from None
    for key, one in found.items():
        if one.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if key in taken or key.startswith("_"):
            raise FusionlabError(f"{where}: found the option {key!r}, expected a name that is free")
        if key not in types:
            kind = "TYPE" if one.default is None else type(one.default).__name__
            expected = f"expected `{key}: {kind} = ...`"
            raise FusionlabError(f"{where}: found no type of the option {key!r}, {expected}")
    return types


def own_doc(cls: type) -> str:
    """The docstring of the class itself, not that of its base; empty if it has none."""
    return inspect.cleandoc(cls.__doc__ or "")


def option_notes(cls: type) -> dict[str, str]:
    """The one-line notes of the docstring's ``Options:`` block, by option."""
    doc = inspect.getdoc(cls) or ""
    _, _, block = doc.partition("Options:\n")
    block = block.split("\n\n", 1)[0]
    notes: dict[str, str] = {}
    key = ""
    for line in block.splitlines():
        head = re.match(r"    (\w+): (.*)", line)
        if head:
            key = head[1]
            notes[key] = head[2]
        elif key:
            notes[key] += " " + line.strip()
    return notes


def check_defaults(cls: type, options: type[BaseModel]) -> None:
    """FusionlabError if an option's default is not of its type."""
    fields = options.model_fields
    try:
        options.model_validate({key: f.default for key, f in fields.items() if not f.is_required()})
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing":
                raise FusionlabError(
                    f"{place(cls)}.__init__: found the default {problem['input']!r} of the option "
                    f"{str(problem['loc'][0])!r}, expected one of its type: {problem['msg']}"
                ) from None


def runtime_arguments(base: type) -> list[str]:
    """The positional arguments that parts of a family get from the runtime."""
    return _positional(_init(base))[1:]


def _begun(part: object, base: type) -> bool:
    """Has the ``__init__`` of the contract run? It keeps each argument under its name."""
    torch_keeps = ["_modules"] if hasattr(base, "named_modules") else []
    return all(hasattr(part, name) for name in (*runtime_arguments(base), *torch_keeps))


def _uncalled(cls: type, base: type) -> str:
    call = f"super().__init__({', '.join(runtime_arguments(base))})"
    return f"{place(cls)}.__init__: found no {call}, expected it first"


def _left_open(cls: type, base: type) -> Iterator[str]:
    for name in sorted(getattr(cls, "__abstractmethods__", ())):
        yield f": found no method {name!r}, expected {_head(name, getattr(base, name))}"
    for name, kind in _stated(base).items():
        known = "True or False" if kind is bool else kind.__name__
        if issubclass(kind, Enum):
            known = " or ".join(f"{kind.__name__}.{one.name}" for one in kind)
        if not hasattr(cls, name):
            yield f": found no {name!r}, expected it in the class: {name} = {known}"
        elif not isinstance(getattr(cls, name), kind):
            yield f".{name}: found {getattr(cls, name)!r}, expected {known}"


@cache
def _stated(base: type) -> dict[str, type]:
    """Class attributes that a contract leaves to its parts or lets them set, by plain types."""
    hints = typing.get_type_hints(base)
    inner = {k: typing.get_args(v)[0] for k, v in hints.items() if typing.get_origin(v) is ClassVar}
    return {k: v for k, v in inner.items() if inspect.isclass(v) and k != "name"}


def _other_arguments(cls: type, base: type) -> Iterator[str]:
    for name, own in _overridden(cls, base):
        meant = inspect.getattr_static(base, name)
        if isinstance(meant, property) and inspect.isfunction(own):
            yield f".{name}: found a method, expected a property: write @property above it"
        if not inspect.isfunction(meant) or not inspect.isfunction(own):
            continue
        wanted = inspect.signature(meant).parameters
        given = [name for name, p in wanted.items() if p.kind in POSITIONAL]
        try:
            inspect.signature(own).bind(*given)
        except TypeError as error:
            yield f".{name}: {error}; expected {_head(name, meant)}"


def _overridden(cls: type, base: type) -> Iterator[tuple[str, Any]]:
    for name in vars(base):
        own = inspect.getattr_static(cls, name)
        if not name.startswith("_") and own is not vars(base)[name]:
            yield name, own


def _no_options(cls: type, base: type) -> Iterator[str]:
    """An argument that would be no option, or one that the runtime gives and nobody takes."""
    if _init(cls) is _init(base):
        return
    parameters = inspect.signature(_init(cls)).parameters
    kinds = {p.kind: name for name, p in parameters.items()}
    runtime, own = runtime_arguments(base), _positional(_init(cls))[1:]
    head = ", ".join(["self", *runtime, "*"])
    if own[len(runtime) :]:
        yield (
            f".__init__: found the positional argument {own[len(runtime)]!r}, which is no option; "
            f"expected ({head}, {own[len(runtime)]}: TYPE = DEFAULT)"
        )
    elif len(own) < len(runtime) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        found = ", ".join(["self", *own])
        yield f".__init__: found the arguments ({found}), expected ({head}, and then options)"
    elif inspect.Parameter.VAR_KEYWORD in kinds:
        name = kinds[inspect.Parameter.VAR_KEYWORD]
        yield (
            f".__init__: found **{name}, of which no option is known; expected each by its name, "
            f"({head}, OPTION: TYPE = DEFAULT)"
        )


def _init(cls: Any) -> Any:
    return cls.__init__


def _positional(function: Any) -> list[str]:
    parameters = inspect.signature(function).parameters
    return [name for name, p in parameters.items() if p.kind in POSITIONAL]


def _head(name: str, function: Any) -> str:
    return f"def {name}({', '.join(inspect.signature(function).parameters)})"
