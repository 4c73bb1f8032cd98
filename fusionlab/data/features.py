"""Item features with presence masks: the one object that every fusion receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

FUSED = "fused"
WIDENED = 64
"""Rows widened at a time: a block of 4096 columns fits a core's cache."""


def is_modality_name(name: str) -> bool:
    """Can a modality be called so? Anything but `FUSED`, as the one view of all is called."""
    return name not in ("", FUSED)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The shape of one modality's features: ``tokens`` (T) vectors of width ``dim`` (d) an item.

    With a ``vocabulary`` the features are no vectors but text: each token is an integer below it,
    the number of a piece of text in a tokenizer, and d = 1.
    """

    dim: int
    tokens: int = 1
    vocabulary: int = 0


@dataclass(frozen=True, slots=True)
class ItemFeatures:
    """Features of B items, a modality at a time.

    ``values[m]`` is (B, T, d) float, pooled features have T = 1; ``mask[m]`` is (B, T) bool. An
    item has the modality if any of its tokens is on. What stands behind a false mask is undefined
    (it may be NaN) and no fusion may read it. Modalities of token ids, (B, T, 1) integers, have
    the size of their ``vocabulary`` here.
    """

    values: dict[str, Tensor]
    mask: dict[str, Tensor]
    vocabulary: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return next(iter(self.mask.values())).shape[0]

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the modalities, in their fixed order."""
        return tuple(self.values)

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The shape of each modality."""
        return {
            name: FeatureSpec(x.shape[2], x.shape[1], self.vocabulary.get(name, 0))
            for name, x in self.values.items()
        }

    def present(self, modality: str) -> Tensor:
        """(B,) bool: which items have the modality."""
        return self.mask[modality].any(dim=1)

    def take(self, items: Tensor) -> ItemFeatures:
        """The features of the rows ``items`` (B',)."""
        return ItemFeatures(
            {name: x.index_select(0, items) for name, x in self.values.items()},
            {name: mask.index_select(0, items) for name, mask in self.mask.items()},
            self.vocabulary,
        )

    def part(self, start: int, end: int) -> ItemFeatures:
        """Items ``start`` to ``end`` (not included), not copied."""
        return ItemFeatures(
            {name: x[start:end] for name, x in self.values.items()},
            {name: mask[start:end] for name, mask in self.mask.items()},
            self.vocabulary,
        )

    def only(self, modalities: Iterable[str]) -> ItemFeatures:
        """A coalition: the same items with every other modality masked."""
        kept = set(modalities)
        return replace(
            self,
            mask={
                name: mask if name in kept else torch.zeros_like(mask)
                for name, mask in self.mask.items()
            },
        )

    def without_columns(self, modalities: Iterable[str]) -> ItemFeatures:
        """The same items in a catalogue that never had ``modalities`` at all."""
        dropped = set(modalities)
        kept = [name for name in self.values if name not in dropped]
        return ItemFeatures(
            {name: self.values[name] for name in kept},
            {name: self.mask[name] for name in kept},
            {name: size for name, size in self.vocabulary.items() if name in kept},
        )

    def masked(self, off: Mapping[str, Tensor]) -> ItemFeatures:
        """The same items with modality m turned off where ``off[m]`` (B,) is true."""
        return replace(
            self,
            mask={
                n: mask & ~off[n][:, None] if n in off else mask for n, mask in self.mask.items()
            },
        )

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ItemFeatures:
        """Move to a device and (floating-point values only) to another such type."""
        return ItemFeatures(
            {
                name: x.to(device=device, dtype=dtype if x.is_floating_point() else None)
                for name, x in self.values.items()
            },
            {name: mask.to(device=device) for name, mask in self.mask.items()},
            self.vocabulary,
        )


class Taker:
    """Takes rows of ``features`` step after step into memory that is used again.

    Wide rows of a batch are too large for the allocator to keep: each step would get fresh pages
    from the system, and writing to those costs as much as copying the rows. Pooled features in a
    type that the device does not multiply well are widened on the way, while they stand in the
    cache; tokens are not, since their mean is taken in their own type.
    """

    def __init__(self, features: ItemFeatures) -> None:
        self.features = features
        self._room = {
            name: x[:0].to(multiplied(x) if x.shape[1] == 1 else x.dtype, copy=True)
            for name, x in features.values.items()
        }

    def __call__(self, items: Tensor) -> ItemFeatures:
        """`ItemFeatures.take`; the next call overwrites the values."""
        n = len(items)
        values = {}
        for name, x in self.features.values.items():
            if len(self._room[name]) < n:
                rows = max(n, min(n + n // 4, len(x)))
                self._room[name] = self._room[name].new_empty(rows, *x.shape[1:])
            values[name] = _take_into(self._room[name][:n], x, items)
        mask = {name: mask.index_select(0, items) for name, mask in self.features.mask.items()}
        return ItemFeatures(values, mask, self.features.vocabulary)


def _take_into(out: Tensor, x: Tensor, items: Tensor) -> Tensor:
    """``x[items]`` in ``out``, whose type may be wider."""
    if out.dtype == x.dtype:
        return torch.index_select(x, 0, items, out=out)
    for part, some in zip(out.split(WIDENED), items.split(WIDENED), strict=True):
        part.copy_(x.index_select(0, some))
    return out


def multiplied(x: Tensor) -> torch.dtype:
    """The type in which the device multiplies matrices of ``x`` well: its own or float32.

    CPUs without instructions for a type convert number by number, 10 to 60 times slower than a
    float32 product.
    """
    slow = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    if x.device.type != "cpu" or x.dtype not in slow or slow[x.dtype]():
        return x.dtype
    return torch.float32
