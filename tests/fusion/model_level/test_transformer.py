import pytest
from model_reference import MODALITIES, assert_equals_formula


def formula(layers, positions="none"):
    def view(net, tokens):
        x = [net["cls"]]
        for name, vectors in tokens.items():
            x += [
                net.linear(f"project.{name}", v) + net[f"modality.{name}"] + p
                for v, p in zip(vectors, net.positions(positions, name, vectors), strict=True)
            ]
        for layer in range(layers):
            x = net.self_block(f"blocks.{layer}", x)
        return net.linear("out", net.norm("norm", x[0]))

    return view


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("positions", ["none", "sinusoidal", "learned"])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities, positions, layers):
    part = {"name": "transformer", "layers": layers, "positions": positions}
    assert_equals_formula(part, modalities, formula(layers, positions))
