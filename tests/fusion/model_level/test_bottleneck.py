import pytest
import torch
from model_reference import (
    MODALITIES,
    assert_equals_formula,
    build,
    interaction,
    mean,
    random_items,
)

from fusionlab.errors import FusionlabError


def formula(layers, fusion_layer, pool="mean", positions="none"):
    def read(net, name, xs):
        """The paper reads the class token; the mean is over all."""
        return mean([net.norm(f"norm.{name}", x) for x in (xs[:1] if pool != "mean" else xs)])

    def view(net, tokens):
        z = {
            name: [
                net.linear(f"project.{name}", x) + p
                for x, p in zip(xs, net.positions(positions, name, xs), strict=True)
            ]
            for name, xs in tokens.items()
        }
        if pool != "mean":
            z = {name: [*net[f"class_token.{name}"], *xs] for name, xs in z.items()}
        shared = list(net["shared"])
        for layer in range(layers):
            copies = []
            for name in z:
                block = f"streams.{name}.{layer}"
                if layer < fusion_layer:
                    z[name] = net.self_block(block, z[name])
                    continue
                both = net.self_block(block, [*z[name], *shared])
                z[name], copy = both[: len(z[name])], both[len(z[name]) :]
                copies.append(copy)
            if copies:
                shared = [mean(token) for token in zip(*copies, strict=True)]
        return mean([net.linear(f"out.{name}", read(net, name, xs)) for name, xs in z.items()])

    return view


@pytest.mark.parametrize(("layers", "fusion_layer"), [(2, 0), (4, 1)])
@pytest.mark.parametrize("pool", ["mean", "class_token"])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities, layers, fusion_layer, pool):
    part = {
        "name": "bottleneck",
        "layers": layers,
        "fusion_layer": fusion_layer,
        "bottlenecks": 3,
        "pool": pool,
    }
    assert_equals_formula(part, modalities, formula(layers, fusion_layer, pool))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_positions_stand_before_the_class_token_does(modalities, positions):
    part = {"name": "bottleneck", "pool": "class_token", "positions": positions}
    assert_equals_formula(part, modalities, formula(2, 0, "class_token", positions))


def test_the_bottleneck_is_the_only_way_across():
    fusion = build("bottleneck", random_items(2))
    assert interaction(fusion, 2) > 1e-3
    for stream in fusion.streams.values():  # a first layer that writes nothing
        for linear in (stream[0].attention.out, stream[0].feed_forward[2]):
            torch.nn.init.zeros_(linear.weight)
            torch.nn.init.zeros_(linear.bias)
    assert interaction(fusion, 2) < 1e-12


def test_a_bottleneck_that_nobody_reads_is_refused():
    with pytest.raises(FusionlabError, match=r"fusion_layer: found 2 of 3 layers, .* at most 1"):
        build({"name": "bottleneck", "layers": 3, "fusion_layer": 2}, random_items(2))
