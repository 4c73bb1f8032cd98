import pytest
import torch
from model_reference import MODALITIES, assert_equals_formula, build, random_items

from fusionlab.data.features import ItemFeatures


def formula(layers):
    def view(net, tokens):
        x = [net["cls"]]
        for name, vectors in tokens.items():
            x += [net.linear(f"project.{name}", v) + net[f"modality.{name}"] for v in vectors]
        for layer in range(layers):
            x = net.self_block(f"blocks.{layer}", x)
        return net.linear("out", net.norm("norm", x[0]))

    return view


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities, layers):
    assert_equals_formula({"name": "transformer", "layers": layers}, modalities, formula(layers))


def test_tokens_are_a_set():
    items = random_items(3)
    fusion = build("transformer", items)
    turned = ItemFeatures(
        {name: x.flip(1) for name, x in items.values.items()},
        {name: mask.flip(1) for name, mask in items.mask.items()},
    )
    torch.testing.assert_close(fusion(turned).views, fusion(items).views)
