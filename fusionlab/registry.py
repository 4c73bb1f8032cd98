"""One registry class for every family of swappable parts.

A part is a class. Its positional ``__init__`` arguments belong to the runtime; its **keyword-only
arguments are its configuration**. The registry turns them into a validated pydantic schema, so a
part needs no configuration file, no factory and no list to be entered in:

    @FUSIONS.register("gated")
    class Gated(Fusion):
        def __init__(self, specs, dim, *, gate: Literal["softmax", "sigmoid"] = "softmax"): ...

A keyword-only argument whose type is the base class of another family takes a nested part.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticUndefined, core_schema

from fusionlab.errors import ConfigError, FusionlabError, one_of, with_article
from fusionlab.part_class import (
    build,
    check_class,
    check_defaults,
    option_notes,
    option_types,
    own_doc,
)
from fusionlab.plugins import is_own, load_installed, place
from fusionlab.schema import field_of, json_schema, read_by_name, validate

T = TypeVar("T")


FAMILIES = {
    "dataset": "fusionlab.data.dataset",
    "split": "fusionlab.data.splits",
    "augmentation": "fusionlab.data.augmentation.contract",
    "encoder": "fusionlab.encoders.contract",
    "imputer": "fusionlab.fusion.imputers.contract",
    "fusion": "fusionlab.fusion.contract",
    "profile": "fusionlab.recommenders.profiles",
    "recommender": "fusionlab.recommenders.contract",
    "loss": "fusionlab.training.losses",
    "balancer": "fusionlab.balancing.contract",
    "control": "fusionlab.studies.controls",
}
"""Where each family's contract lives; imported when the family is first asked for."""


def family(name: str) -> Registry[Any]:
    """The registry of a family, by the word used on the command line."""
    if name in FAMILIES:
        importlib.import_module(FAMILIES[name])
    if name not in Registry.families:
        raise ConfigError([(("family",), one_of(name, FAMILIES))])
    return Registry.families[name]


class Part(BaseModel):
    """The validated configuration of one part: its ``name`` and its keyword-only arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    registry: ClassVar[Registry[Any]]
    name: str

    def build(self, *runtime: Any) -> Any:
        """Construct the part from the runtime's positional arguments and this configuration."""
        options = {
            key: _build_nested(getattr(self, key))
            for key in type(self).model_fields
            if key != "name"
        }
        return build(self.registry[self.name], self.registry.base, runtime, options)


TAKEN = {*dir(Part), *Part.__annotations__}
"""What no option can be called."""


def _build_nested(value: Any) -> Any:
    if isinstance(value, Part):
        return value.build()
    if isinstance(value, list | tuple):
        return type(value)(_build_nested(item) for item in value)
    return value


class Registry(Generic[T]):
    """A family of parts: names, classes and the schema of each.

    Args:
        family: the word used on the command line, e.g. ``fusion``.
        base: the contract; only its subclasses may be registered.
        package: where the built-in parts live; imported when a name is first looked up.
        notation: letters that the docstrings of all parts share, and what they mean.
    """

    families: ClassVar[dict[str, Registry[Any]]] = {}

    def __init__(
        self, family: str, base: type[T], package: str, notation: Mapping[str, str] | None = None
    ) -> None:
        self.family = family
        self.base = base
        self.package = package
        self.notation = dict(notation or {})
        self._parts: dict[str, type[T]] = {}
        self._schemas: dict[str, type[Part]] = {}
        self._loaded = False
        Registry.families[family] = self

    def register(self, name: str) -> Callable[[type], type]:
        """Class decorator that enters a part under ``name``.

        Raises:
            FusionlabError: a class that breaks the contract (`check_class`), or a name of another.
        """
        if not isinstance(name, str):
            found = place(name) if isinstance(name, type) else repr(name)
            raise FusionlabError(
                f"{found}: found no name to register under, expected "
                f"{with_article(self.family)} with one: "
                '.register("NAME")'
            )

        def enter(cls: type) -> type:
            if not isinstance(cls, type) or not issubclass(cls, self.base):
                raise FusionlabError(
                    f"{place(cls)}: {with_article(self.family)} must be a subclass of "
                    f"{self.base.__module__}.{self.base.__qualname__}"
                )
            if not is_own(cls):  # those are held against it in tests
                check_class(cls, self.base)
            other = self._parts.get(name)
            if other is not None and place(other) != place(cls):
                raise FusionlabError(
                    f"{self.family} {name!r} is registered twice: by {place(other)} and by "
                    f"{place(cls)}; expected another name for one of them"
                )
            self._parts[name] = cls
            self._schemas.pop(name, None)
            cls.name = name  # type: ignore[attr-defined]
            return cls

        return enter

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        self._load()
        return sorted(self._parts)

    def __getitem__(self, name: str) -> type[T]:
        self._load()
        if name not in self._parts:
            raise ConfigError([((self.family,), one_of(name, self._parts))])
        return self._parts[name]

    def schema(self, name: str) -> type[Part]:
        """The pydantic model of a part's keyword-only arguments."""
        if name not in self._schemas:
            self._schemas[name] = _schema_of(self, name, self[name])
        return self._schemas[name]

    def parse(self, value: Any) -> Part:
        """Validate ``"name"`` or ``{name: ..., option: ...}``; raise `ConfigError` otherwise."""
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            allowed = ", ".join(self.names())
            expected = f"{with_article(self.family)} with a name: {allowed}"
            raise ConfigError([((), f"found {value!r}, expected {expected}")])
        self._load()
        if value["name"] not in self._parts:
            raise ConfigError([(("name",), one_of(value["name"], self._parts))])
        return validate(self.schema(value["name"]), value)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{self.package}."):
            importlib.import_module(module.name)
        load_installed()


def part_label(data: Mapping[str, Any]) -> str:
    """A part's plain data as tables call it: ``gated (gate=sigmoid)``."""
    options = ", ".join(f"{key}={value}" for key, value in data.items() if key != "name")
    return " ".join(filter(None, [data.get("name"), options and f"({options})"]))


@dataclass(frozen=True)
class PartOf:
    """Marks a pydantic field that holds a part: ``Annotated[Part, PartOf("fusion")]``."""

    family: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda part: part.model_dump() if isinstance(part, Part) else part
            ),
        )

    def parse(self, value: Any) -> Part:
        """The validated part."""
        return family(self.family).parse(value)

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> Part:
        try:
            return self.parse(value)
        except ConfigError as error:
            raise error.under(*field_of(info)) from None

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        registry = family(self.family)
        parts = [json_schema(registry.schema(name)) for name in registry.names()]
        return {"anyOf": [{"enum": registry.names()}, *parts]}


@dataclass(frozen=True)
class PartsOf:
    """Marks a pydantic field that holds parts of one family by name, or null."""

    family: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda parts: {name: one and one.model_dump() for name, one in parts.items()}
            ),
        )

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> dict[str, Part | None]:
        expected = f"names, and the {self.family} of each"
        return read_by_name(value, field_of(info), expected, family(self.family).parse)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        one = PartOf(self.family).__get_pydantic_json_schema__(schema, handler)
        return {"type": "object", "additionalProperties": {"anyOf": [one, {"type": "null"}]}}


def _schema_of(registry: Registry[Any], name: str, cls: type) -> type[Part]:
    hints = option_types(cls, TAKEN)
    notes = option_notes(cls)
    fields: dict[str, Any] = {"name": (Literal[name], Field(name, description="the part"))}
    for key, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        default = PydanticUndefined if parameter.default is parameter.empty else parameter.default
        annotation = _nested_annotation(hints[key])
        fields[key] = (annotation, Field(default, description=notes.get(key)))
    try:
        schema = create_model(f"{registry.family}:{name}", __base__=Part, **fields)
    except PydanticUserError as error:
        raise FusionlabError(
            f"{place(cls)}.__init__: found an option that YAML cannot hold, expected types such as "
            f"int, str, Literal or a part of another family: {error.message.partition('. ')[0]}"
        ) from error
    check_defaults(cls, schema)
    schema.registry = registry
    schema.__doc__ = own_doc(cls) or None
    return schema


def _nested_annotation(annotation: Any) -> Any:
    """Replace the base class of a family, wherever it stands in a type, by that family's parts."""
    for registry in Registry.families.values():
        if annotation is registry.base:
            return Annotated[Any, PartOf(registry.family)]
    arguments = typing.get_args(annotation)
    if not arguments or typing.get_origin(annotation) in (Literal, Annotated):
        return annotation
    replaced = tuple(_nested_annotation(argument) for argument in arguments)
    if replaced == arguments:
        return annotation
    if isinstance(annotation, types.UnionType):
        return typing.Union[replaced]  # noqa: UP007 -- the members are known only at run time
    return typing.get_origin(annotation)[replaced]
