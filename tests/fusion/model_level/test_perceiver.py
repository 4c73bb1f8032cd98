import pytest
import torch
from model_reference import MODALITIES, assert_equals_formula, mean

from fusionlab.data.features import FeatureSpec
from fusionlab.fusion.contract import FUSIONS


def formula(layers, reads="tokens", positions="none"):
    def view(net, tokens):
        x = [
            net.linear(f"project.{name}", vector) + net[f"modality.{name}"] + p
            for name, vectors in tokens.items()
            for vector, p in zip(vectors, net.positions(positions, name, vectors), strict=True)
        ]
        z = list(net["latents"])
        for layer in range(layers):
            if reads == "tokens":
                z = net.cross_block(f"read.{layer}", z, x)
                z = net.self_block(f"think.{layer}", z)
            else:  # Flamingo: one attention whose keys are the tokens and the latents
                z = net.cross_block(f"read.{layer}", z, [*x, *z])
        return net.linear("out", mean([net.norm("norm", latent) for latent in z]))

    return view


@pytest.mark.parametrize(("layers", "latents"), [(1, 4), (2, 3), (2, 1)])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities, layers, latents):
    part = {"name": "perceiver", "layers": layers, "latents": latents}
    assert_equals_formula(part, modalities, formula(layers))


@pytest.mark.parametrize("positions", ["none", "sinusoidal", "learned"])
@pytest.mark.parametrize("reads", ["tokens", "tokens_and_latents"])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_the_papers_own_forms_equal_their_formula(modalities, reads, positions):
    part = {"name": "perceiver", "layers": 2, "reads": reads, "positions": positions}
    assert_equals_formula(part, modalities, formula(2, reads, positions))


def test_latents_start_apart():
    latents = FUSIONS.parse("perceiver").build({"text": FeatureSpec(3)}, 8).latents
    assert torch.pdist(latents).min() > 1
