"""What an imputer is: items that lack modalities in, the same items with features in place of
them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.plugins import place
from fusionlab.registry import Registry
from fusionlab.returned import check_returned, pair_returned


class Imputer(nn.Module):
    """Stands in for a modality that an item lacks, the first thing a fusion does (`attach`).

    Args:
        specs: the shape of each modality as the fusion gets it, by name.

    Keyword-only arguments of a subclass are its configuration. An item that has at least one
    modality gets its others from `guess`, and they count as present; one that has none stays
    without. So it is wherever the fusion runs: in training, in ranking, under a coalition's mask.
    What an item has is not touched, bit by bit, and what stands behind a mask is never read.
    Modalities of token ids are not imputed.
    """

    name: ClassVar[str]

    def __init__(self, specs: Mapping[str, FeatureSpec]) -> None:
        super().__init__()
        self.specs = {name: spec for name, spec in specs.items() if not spec.vocabulary}
        self.order = tuple(specs)

    def fit(self, items: ItemFeatures) -> None:
        """Learn from the train items, once, before training; what trained encoders say is then
        what they said before they were trained."""

    def guess(self, modality: str, items: ItemFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, T, d) and mask (n, T) for the ``rows`` (n,) of ``items`` that lack it."""
        raise FusionlabError(
            f"{place(type(self))}: found neither guess nor a forward, expected "
            "def guess(self, modality, items, rows)"
        )

    def forward(self, items: ItemFeatures) -> ItemFeatures:
        """The items with what they lack filled in, of modalities too that ``items`` has no column
        of: those are missing everywhere."""
        some = torch.stack([items.present(name) for name in items.modalities]).any(0)
        values, mask = dict(items.values), dict(items.mask)
        for name, spec in self.specs.items():
            if name not in values:
                values[name], mask[name] = _nothing(spec, items)
            rows = (some & ~mask[name].any(1)).nonzero()[:, 0]
            if len(rows) or self._learns:
                found, on = self._guessed(name, items, rows)
                x = values[name]
                values[name] = x.index_copy(0, rows, found.to(x.dtype).expand(len(rows), -1, -1))
                mask[name] = mask[name].index_copy(0, rows, on.expand(len(rows), -1))
        names = [name for name in self.order if name in values]
        return replace(
            items,
            values={name: values[name] for name in names},
            mask={name: mask[name] for name in names},
        )

    def _guessed(self, name: str, items: ItemFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
        """`guess`, held against its shapes; one row may stand for all."""
        found, on = pair_returned(self, "guess", self.guess(name, items, rows))
        spec = self.specs[name]
        n = [1 if x.shape[:1] == (1,) else len(rows) for x in (found, on)]
        shape, of_mask = (n[0], spec.tokens, spec.dim), (n[1], spec.tokens)
        check_returned(self, "guess", "features", found, shape, "(n rows, T, d)")
        check_returned(self, "guess", "a mask", on, of_mask, "(n rows, T)", torch.bool)
        return found, on

    @property
    def _learns(self) -> bool:
        """Then its parameters get a gradient, of zero, where nothing is missing either."""
        return any(p.requires_grad for p in self.parameters())

    def attach(self, fusion: nn.Module) -> None:
        """Make this the first thing ``fusion`` does (after trained encoders, if those were attached
        before) and part of its state."""
        fusion.add_module("imputer", self)
        # Looked up there, so that a copy of the fusion asks its own copy of the imputer.
        fusion.register_forward_pre_hook(lambda module, given: (module.imputer(*given),))


class Features(nn.Module):
    """Features (n, T, d) and their mask (n, T) as buffers; a state of any n can be loaded."""

    values: Tensor
    mask: Tensor

    def __init__(self, spec: FeatureSpec, n: int = 0) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(n, spec.tokens, spec.dim))
        self.register_buffer("mask", torch.zeros(n, spec.tokens, dtype=torch.bool))

    def hold(self, values: Tensor, mask: Tensor) -> None:
        """Keep these; zeros in place of what is behind the mask."""
        self.values = torch.where(mask[..., None], values, 0).to(self.values.dtype)
        self.mask = mask.clone()

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, held in dict(self.named_buffers()).items():
            if f"{prefix}{name}" in state:
                setattr(self, name, held.new_empty(state[f"{prefix}{name}"].shape))
        super()._load_from_state_dict(state, prefix, *rest)


def token_means(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over items of each token (T, d) in float32, and which were there at all (T,)."""
    count = mask.sum(0)
    total = torch.where(mask[..., None], values, 0).sum(0, dtype=torch.float32)
    return total / count.clamp(min=1)[:, None], count > 0


def _nothing(spec: FeatureSpec, items: ItemFeatures) -> tuple[Tensor, Tensor]:
    """A column that every item lacks, in the type of the others."""
    one = next(iter(items.mask.values()))
    types = [x.dtype for x in items.values.values() if x.is_floating_point()]
    shape = (len(one), spec.tokens)
    values = torch.zeros(*shape, spec.dim, dtype=(*types, torch.float32)[0], device=one.device)
    return values, torch.zeros(shape, dtype=torch.bool, device=one.device)


IMPUTERS: Registry[Imputer] = Registry("imputer", Imputer, "fusionlab.fusion.imputers")
