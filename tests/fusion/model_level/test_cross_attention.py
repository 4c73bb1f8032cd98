import pytest
from model_reference import (
    MODALITIES,
    assert_equals_formula,
    build,
    interaction,
    mean,
    random_items,
)


def formula(layers, modalities):
    def view(net, tokens):
        h = {name: [net.linear(f"project.{name}", x) for x in xs] for name, xs in tokens.items()}
        parts = []
        for target in h:
            sources = [name for name in h if name != target] if modalities > 1 else [target]
            readings = []
            for source in sources:
                z = h[target]
                for layer in range(layers):
                    z = net.cross_block(
                        f"blocks.{len(source)}:{source}->{target}.{layer}", z, h[source]
                    )
                readings.append(z)
            z = [mean(token) for token in zip(*readings, strict=True)] if readings else h[target]
            y = net.self_block(f"gather.{target}", z)
            pooled = mean([net.norm(f"norm.{target}", token) for token in y])
            parts.append(net.linear(f"out.{target}", pooled))
        return mean(parts)

    return view


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("modalities", MODALITIES)
def test_equals_the_formula(modalities, layers):
    part = {"name": "cross_attention", "layers": layers}
    assert_equals_formula(part, modalities, formula(layers, modalities))


def test_reads_more_than_pairs():
    # Pairs are all that attention sees; the self-attention behind it is what joins three.
    assert interaction(build("cross_attention", random_items(3)), 3) > 1e-3
