from math import cos, sin

import numpy as np
import pytest
from model_reference import (
    DIM,
    MODALITIES,
    SPECS,
    Net,
    assert_equals_formula,
    build,
    interaction,
    mean,
    random_items,
    tokens_of,
)

from fusionlab.data.features import ItemFeatures


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


def papers_formula(modalities):
    """Tsai: positions, readings side by side, self-attention over them, the last token."""

    def placed(xs):
        """xs[t] + PE(t), sine and cosine in turn; xs are (index of the token, vector)."""
        return [(t, x + [position(t, i, len(x)) for i in range(len(x))]) for t, x in xs]

    def position(t, i, width):
        angle = t / 10_000 ** (i // 2 * 2 / width)
        return cos(angle) if i % 2 else sin(angle)

    def view(net, tokens, order):
        h = {
            name: placed(
                [
                    (t, net.linear(f"project.{name}", x))
                    for t, x in zip(order[name], xs, strict=True)
                ]
            )
            for name, xs in tokens.items()
        }
        names = [*SPECS][:modalities]
        parts = []
        for target, own in h.items():
            queries = [x for _, x in own]
            sources = [name for name in names if name != target] or [target]
            z = []
            for source in sources:
                if source in h:
                    key = f"blocks.{len(source)}:{source}->{target}.0"
                    z.append(net.cross_block(key, queries, [x for _, x in h[source]]))
                else:
                    z.append([np.zeros(DIM) for _ in queries])
            side = [np.concatenate(readings) for readings in zip(*z, strict=True)]
            side = placed(list(zip([t for t, _ in own], side, strict=True)))
            y = net.self_block(f"gather.{target}", [x for _, x in side])
            parts.append(net.linear(f"out.{target}", net.norm(f"norm.{target}", y[-1])))
        return mean(parts)

    return view


@pytest.mark.parametrize("modalities", MODALITIES)
def test_concatenated_sequences_are_the_papers(modalities):
    part = {"name": "cross_attention", "merge": "concat", "tokens": "sequence"}
    formula = papers_formula(modalities)
    items = random_items(modalities)
    fusion = build(part, items)
    net, views = Net(fusion), fusion(items).views[:, 0].detach()
    for row in range(len(items)):
        tokens = tokens_of(items, row)
        order = {name: items.mask[name][row].nonzero().flatten().tolist() for name in tokens}
        expected = formula(net, tokens, order) if tokens else np.zeros(DIM)
        np.testing.assert_allclose(views[row], expected, atol=1e-6)


def test_a_sequence_knows_the_order_of_its_tokens_and_a_set_does_not():
    items = random_items(2, gaps=False)
    turned = ItemFeatures({n: x.flip(1) for n, x in items.values.items()}, items.mask)
    for tokens, differs in (("set", False), ("sequence", True)):
        fusion = build({"name": "cross_attention", "tokens": tokens}, items)
        gap = (fusion(items).views - fusion(turned).views).abs().max()
        assert (gap > 1e-3) == differs


def test_reads_more_than_pairs():
    # Pairs are all that attention sees; the self-attention behind it is what joins three.
    assert interaction(build("cross_attention", random_items(3)), 3) > 1e-3
