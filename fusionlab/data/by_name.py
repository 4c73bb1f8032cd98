"""Torch modules or parameters by name, whatever the name: that of a modality, most often."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Generic, TypeVar, cast

from torch import nn

Part = TypeVar("Part", bound=nn.Module | nn.Parameter)


class ByName(nn.Module, Generic[Part]):
    """What `nn.ModuleDict` and `nn.ParameterDict` are, for names of which torch refuses some.

    A part is registered, and stands in the state, under its name. Only where torch forbids that is
    it changed: a dot is written %2E (and % itself %25), and the name of an attribute (``type``,
    ``items``) gets a % at its end. No two names become the same.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        super().__init__()
        self._registered: dict[str, str] = {}
        for name, part in parts.items():
            self.hold(name, part)

    def hold(self, name: str, part: Part) -> None:
        """Add a part under a name that has none yet."""
        key = name.replace("%", "%25").replace(".", "%2E")
        key += "%" if hasattr(self, key) else ""
        self._registered[name] = key
        setattr(self, key, part)

    def __getitem__(self, name: str) -> Part:
        return cast(Part, getattr(self, self._registered[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._registered)

    def __len__(self) -> int:
        return len(self._registered)

    def values(self) -> ValuesView[Part]:
        """The parts, in the order in which they were added."""
        return {name: self[name] for name in self}.values()

    def items(self) -> ItemsView[str, Part]:
        """Names and parts, likewise."""
        return {name: self[name] for name in self}.items()


class OfModalities(ByName[Part]):
    """Parts that belong to one modality each, of all modalities or only some."""
