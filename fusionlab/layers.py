"""Layers of YAML: a file, the bases it extends, the overrides on top.

Any YAML file may name a ``base:`` file, which it extends, and so may its ``experiment``. Overrides
are ``key.sub=value`` strings. A part (a mapping with a ``name``) that changes its name drops the
options of the old one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fusionlab.errors import ConfigError, FusionlabError


@dataclass(frozen=True)
class Layer:
    """Plain data and where it was written; a later layer wins."""

    source: str
    data: dict[str, Any]

    def depth(self, path: tuple[str, ...]) -> int:
        """How many keys of ``path`` stand here."""
        value: Any = self.data
        for depth, key in enumerate(path):
            if isinstance(value, str) and key == "name":
                return depth + 1  # a part may be written as its bare name
            if not isinstance(value, Mapping) or key not in value:
                return depth
            value = value[key]
        return len(path)


def read_layers(file: Path, overrides: Sequence[str] = ()) -> list[Layer]:
    """The layers of a configuration, lowest first."""
    return _file_layers(file, ()) + _overrides(overrides)


def read_value(key: str, text: str) -> Any:
    """The value of the override ``key=text``: ``gated``, or ``{name: gated, gate: sigmoid}``."""
    (layer,) = _overrides([f"{key}={text}"])
    return layer.data[key]


def changes_of(written: Sequence[str]) -> dict[str, Any]:
    """Overrides ``key.sub=value`` as nested plain data."""
    return merged(_overrides(written))


def _overrides(written: Sequence[str]) -> list[Layer]:
    layers = []
    for override in written:
        key, equals, _ = override.partition("=")
        if not equals or not all(key.split(".")):
            problem = f"found {override!r}, expected key.sub=value"
            raise ConfigError([((), problem, "command line")])
        try:
            change: Any = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
            if not isinstance(change, dict):
                raise ValueError(f"found {override!r}, expected key.sub=value")
        except Exception as error:  # it reads YAML, which fails in every way there is
            raise ConfigError([((key,), _said(error), "command line")]) from None
        layers.append(Layer("command line", change))
    return layers


def _file_layers(file: Path, above: tuple[Path, ...], inside: tuple[str, ...] = ()) -> list[Layer]:
    """The file, below it its base, and the base that its experiment names; lowest first."""
    if not os.path.isfile(file):  # false for a name too long, too
        what = "found a folder, expected a file of YAML" if os.path.isdir(file) else "no such file"
        raise FusionlabError(f"{f'{above[-1]}: base: ' if above else ''}{file}: {what}")
    if file.resolve() in above:
        circle = " -> ".join(one.name for one in (*above, file))
        raise FusionlabError(
            f"{file}: base: found a circle ({circle}), expected a file without one"
        )
    data, above = _read_yaml(file), (*above, file.resolve())
    layers = []
    if "base" in data:
        layers += _file_layers(file.parent / str(data.pop("base")), above, inside)
    experiment = data.get("experiment")
    if isinstance(experiment, dict) and "base" in experiment:
        base = file.parent / str(experiment.pop("base"))
        layers += _file_layers(base, above, (*inside, "experiment"))
    return [*layers, Layer(str(file), nest(".".join(inside), data) if inside else data)]


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        # unresolved: `${...}` is text, neither grows without end nor reads the environment
        data: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except Exception as error:  # as above
        raise FusionlabError(f"{file}: not valid YAML: {_said(error)}") from None
    if not isinstance(data, dict):
        raise FusionlabError(f"{file}: found {type(data).__name__}, expected a mapping of keys")
    return data


def _said(error: Exception) -> str:
    """What an error says; of those for lack of room only the kind is worth telling."""
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """Plain data of all layers; a later one wins."""
    data: dict[str, Any] = {}
    for layer in layers:  # key by key: a name at the top is a mistake, which makes no part of it
        for key, value in layer.data.items():
            data[key] = merge(data[key], value) if key in data else value
    return data


def merge(base: Any, change: Any) -> Any:
    """Merge plain data; ``change`` wins. Mappings merge by key, everything else is replaced.

    A mapping with a ``name`` is a part: when the name changes, the old part's options are dropped.
    """
    if isinstance(base, str) and isinstance(change, Mapping):
        base = {"name": base}
    if isinstance(base, Mapping) and "name" in base and isinstance(change, str):
        change = {"name": change}
    if not isinstance(base, Mapping) or not isinstance(change, Mapping):
        return change
    if "name" in base and change.get("name", base["name"]) != base["name"]:
        return dict(change)
    merged = dict(base)
    for key, value in change.items():
        merged[key] = merge(base[key], value) if key in base else value
    return merged


def changed(data: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with dotted keys changed, e.g. ``{"fusion": "gated", "training.epochs": 5}``."""
    for key, value in changes.items():
        data = merge(data, nest(key, value))
    return dict(data)


def dotted(data: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        inner = dotted(value) if isinstance(value, Mapping) else None
        flat |= {f"{key}": value} if inner is None else {f"{key}.{k}": inner[k] for k in inner}
    return flat


def nest(key: str, value: Any) -> dict[str, Any]:
    """``nest("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value
