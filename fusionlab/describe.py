"""Descriptions for people and editors: families, parts, schemas."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fusionlab.errors import ConfigError, FusionlabError, with_article
from fusionlab.layers import read_value
from fusionlab.part_class import option_notes, own_doc
from fusionlab.plugins import load_plugin, source_hash
from fusionlab.registry import FAMILIES, Part, PartOf, family

NO_DOC = "(no docstring)"
"""What is shown of a part that says nothing of itself."""


def parts(name: str | None, plugins: Sequence[str]) -> Table:
    """The families with their parts, or one family's parts with their one-line summaries."""
    _load(plugins)
    table = Table(box=None, header_style="bold", pad_edge=False)
    if name is None:
        table.add_column("family")
        table.add_column("parts")
        for one in FAMILIES:
            table.add_row(one, ", ".join(family(one).names()))
        return table
    registry = family(name)
    table.add_column(name)
    levels = [str(getattr(registry[one], "level", "")) for one in registry.names()]
    if any(levels):
        table.add_column("level")
    table.add_column("what it does")
    for one, level in zip(registry.names(), levels, strict=True):
        table.add_row(*filter(None, (one, level)), _summary(registry[one]))
    return table


def part(family_name: str, name: str, plugins: Sequence[str]) -> list[RenderableType]:
    """A part's docstring, and its options with types and defaults."""
    _load(plugins)
    registry = family(family_name)
    cls = registry[name]
    said, _, rest = (own_doc(cls) or NO_DOC).partition("\n\nOptions:")
    letters = ", ".join(f"{letter} {meaning}" for letter, meaning in registry.notation.items())
    paragraphs = [said, rest.partition("\n\n")[2], letters and f"Letters: {letters}."]
    found: list[RenderableType] = [
        Text(f"{family_name} {name}", style="bold") + Text(_strategy(cls)),
        Text("\n\n".join(filter(None, paragraphs)) + "\n"),
    ]
    options = _options(registry.schema(name))
    if options.row_count:
        found.append(options)
    if space := getattr(cls, "space", None):
        tuned = "; ".join(f"{key} {one}" for key, one in space.items())
        found.append(Text(f"\nTuned where a study is (tune): {tuned}."))
    return found


def _strategy(cls: type[Any]) -> str:
    """What a strategy says of itself beside its docstring; options may change some of it."""
    if not hasattr(cls, "level"):
        return ""
    said = {
        f"{cls.level} level": True,
        "additive": cls.additive,
        "closed form": not cls.trainable,
        "each view on its own loss": cls.objective == "views",
        "the order of modalities is nothing": cls.symmetric,
        "adapts to the user": cls.by_query,
    }
    return f"  ({', '.join(text for text, holds in said.items() if holds)})"


def schema(kind: str, plugins: Sequence[str]) -> str:
    """JSON Schema of an experiment or a study, every registered part included."""
    from fusionlab.config import Experiment, Study

    _load(plugins)
    models: dict[str, type[BaseModel]] = {"experiment": Experiment, "study": Study}
    return json.dumps(models[kind].model_json_schema(), indent=2)


def names_to_check(names: Sequence[str], plugins: Sequence[str]) -> list[str]:
    """The strategies to check: those named, else those of the plug-ins, else all.

    Raises:
        FusionlabError: an unknown name, or plug-ins without a strategy.
    """
    _load(plugins)
    registry = family("fusion")
    if names:
        return [name for name in dict.fromkeys(names) if registry[name]]
    outside = [name for name in registry.names() if source_hash(registry[name])]
    if plugins and not outside:
        raise FusionlabError(
            f"--plugin {', '.join(plugins)}: found no strategy, expected a class under "
            '@FUSIONS.register("NAME")'
        )
    return outside if plugins else registry.names()


def parts_to_bench(written: Sequence[str], plugins: Sequence[str]) -> list[Part]:
    """The strategies to measure: those written (``gated``, or ``{name: gated, gate: sigmoid}``),
    else as above but without pretrained models, which may have to be fetched."""
    _load(plugins)
    registry = family("fusion")
    if not written:
        names = names_to_check((), plugins)
        return [registry.parse(name) for name in names if not registry[name].small]
    found: list[Part] = []
    for text in written:
        value = read_value("fusion", text)
        try:
            part = registry.parse(value)
        except ConfigError as error:
            raise error.under("fusion").written_in(lambda _path: "command line") from None
        found += [part] if part not in found else []
    return found


def _load(plugins: Sequence[str]) -> None:
    for plugin in plugins:
        load_plugin(plugin)


def _options(model: type[Part]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("option", "type", "default", "meaning"):
        table.add_column(header)
    for key, kind, default, meaning in _rows(model):
        if key != "name":
            table.add_row(key, kind, default, meaning)
    return table


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and meaning of every option; those of a section follow it."""
    notes = option_notes(model)
    for key, field in model.model_fields.items():
        meaning = field.description or notes.get(key, "")
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield f"{prefix}{key}", "a section", "", meaning
            yield from _rows(field.annotation, f"{prefix}{key}.")
            continue
        default = "required" if field.is_required() else repr(field.default)
        yield f"{prefix}{key}", _kind(field.annotation, field.metadata), default, meaning


def _kind(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in the words of a configuration file."""
    parts = [mark for mark in metadata if isinstance(mark, PartOf)]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if parts:
        return with_article(parts[0].family)
    if origin is Annotated:
        return _kind(arguments[0], arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_kind(one) for one in arguments)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is not None:
        return (
            f"{origin.__name__} of {', '.join(_kind(one) for one in arguments if one is not ...)}"
        )
    return "none" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _summary(cls: type) -> str:
    return (own_doc(cls) or NO_DOC).split("\n\n")[0].replace("\n", " ")
