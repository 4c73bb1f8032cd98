"""Fuse the same items in the light of several coalitions of their modalities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from fusionlab.balancing.contract import Balancer, Coalition, Listen, Said
from fusionlab.data.features import ItemFeatures
from fusionlab.evaluation.shapley import shapley
from fusionlab.fusion.contract import FusedItems, Fusion
from fusionlab.returned import refusal

NARROW, FEW = 1024, 2**22
"""Numbers an item, all modalities and tokens together, and numbers of all copies of the items. Up
to here they go through the strategy at once, beyond each coalition by itself: a strategy projects
masked columns as well, and where there are many that costs more time and memory than it saves."""


def listener(fusion: Fusion, items: ItemFeatures, said: Callable[[FusedItems], Said]) -> Listen:
    """What tells of coalitions, when it is asked, what each says of a step's items.

    ``said`` turns the views of a coalition into what it says.
    """

    def listen(coalitions: Sequence[Coalition]) -> Mapping[Coalition, Said]:
        fused = fuse_coalitions(fusion, items, coalitions)
        return {one: said(views) for one, views in zip(coalitions, fused, strict=True)}

    return listen


def heard(balancer: Balancer, listen: Listen) -> Mapping[Coalition, Said]:
    """What the coalitions that the balancer asks for say; gradients are kept where they flow back
    through it."""
    wanted = balancer.coalitions
    if not wanted:
        return {}
    for one in wanted:
        if not isinstance(one, frozenset) or not one <= {*balancer.modalities}:
            allowed = f"frozensets of {', '.join(balancer.modalities)}"
            raise refusal(balancer, "coalitions", f"found {one!r}, expected {allowed}")
    with torch.set_grad_enabled(balancer.differentiates):
        return listen(wanted)


def heard_from_teachers(
    balancer: Balancer, items: ItemFeatures, said: Callable[[Any, FusedItems], Said]
) -> dict[Coalition, Said]:
    """What the balancer's own models of single modalities say of a step's items, with gradients.

    ``said`` turns a model and its views into what it says.
    """
    found = {}
    for name, teacher in balancer.teachers.items():
        alone: Coalition = frozenset({name})
        (fused,) = fuse_coalitions(cast(Fusion, teacher.fusion), items, [alone])
        found[alone] = said(teacher, fused)
    return found


def fuse_coalitions(
    fusion: Fusion, items: ItemFeatures, coalitions: Sequence[Coalition]
) -> list[FusedItems]:
    """What the strategy makes of B items under each coalition; a masked modality was never there.

    One pass over (coalitions x B) items where features are narrow and items few, else a pass a
    coalition over its own columns.
    """
    width = sum(spec.tokens * spec.dim for spec in items.specs.values())
    numbers = len(coalitions) * len(items) * width
    if width > NARROW or numbers > FEW or len(coalitions) == 1:
        names = set(items.modalities)
        return [fusion(items.without_columns(names - coalition)) for coalition in coalitions]
    fused = fusion(together([items.only(coalition) for coalition in coalitions]))
    count = len(items)
    return [
        FusedItems(views, present)
        for views, present in zip(fused.views.split(count), fused.present.split(count), strict=True)
    ]


def together(parts: Sequence[ItemFeatures]) -> ItemFeatures:
    """The items of all parts in one batch."""
    first = parts[0]
    return ItemFeatures(
        {name: torch.cat([part.values[name] for part in parts]) for name in first.values},
        {name: torch.cat([part.mask[name] for part in parts]) for name in first.mask},
        first.vocabulary,
    )


def shared_out(values: Mapping[Coalition, Tensor], alone: Sequence[Coalition]) -> list[Tensor]:
    """The Shapley value of each of the M modalities (`shapley`), exact whatever M.

    ``values``: v(S) of every coalition but the empty one, which is worth 0; ``alone``: the
    coalitions of one modality, in whose order the values come.
    """
    names, worth = [name for (name,) in alone], next(iter(values.values()))
    nothing = torch.zeros_like(worth)
    found = shapley(names, lambda one: values[one] if one else nothing, exact=len(names))
    return [found.values[name].to(worth.dtype) for name in names]
