"""Whether the order of tokens counts."""

import pytest
import torch
from model_reference import build, random_items

from fusionlab.data.features import ItemFeatures


def turned(items):
    """The same tokens in the opposite order."""
    return ItemFeatures(
        {name: x.flip(1) for name, x in items.values.items()},
        {name: mask.flip(1) for name, mask in items.mask.items()},
    )


@pytest.mark.parametrize("positions", ["none", "sinusoidal", "learned"])
@pytest.mark.parametrize("name", ["transformer", "perceiver", "bottleneck"])
@torch.no_grad()
def test_the_order_of_tokens_counts_where_they_have_positions(name, positions):
    items = random_items(3)
    fusion = build({"name": name, "positions": positions}, items)
    change = (fusion(turned(items)).views - fusion(items).views).abs().amax((1, 2))
    several = torch.stack([mask.sum(1) > 1 for mask in items.mask.values()]).any(0)
    assert several.any()
    if positions == "none":
        assert change.max() < 1e-9
    else:
        assert change[several].min() > 1e-6


@pytest.mark.parametrize("name", ["transformer", "perceiver", "bottleneck"])
def test_a_modality_owns_its_learned_positions(name):
    items = random_items(2)
    fusion = build({"name": name, "positions": "learned"}, items)
    own = {id(p) for p in fusion.modality_parameters("text")}
    assert id(fusion.positions["text"]) in own
    assert id(fusion.positions["image"]) not in own
