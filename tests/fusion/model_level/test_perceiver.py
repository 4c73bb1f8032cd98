import pytest
from model_reference import MODALITIES, assert_equals_formula, mean


def formula(layers):
    def view(net, tokens):
        x = [
            net.linear(f"project.{name}", vector) + net[f"modality.{name}"]
            for name, vectors in tokens.items()
            for vector in vectors
        ]
        z = list(net["latents"])
        for layer in range(layers):
            z = net.cross_block(f"read.{layer}", z, x)
            z = net.self_block(f"think.{layer}", z)
        return net.linear("out", mean([net.norm("norm", latent) for latent in z]))

    return view


@pytest.mark.parametrize(("layers", "latents"), [(1, 4), (2, 3), (2, 1)])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities, layers, latents):
    part = {"name": "perceiver", "layers": layers, "latents": latents}
    assert_equals_formula(part, modalities, formula(layers))
