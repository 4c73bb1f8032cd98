"""Second computations of networks over tokens: vectors, plain loops, float64.

A masked token does not exist here: it is simply not in the list.
"""

import math

import numpy as np
import torch
from scipy.special import erf

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS

MODALITIES = [1, 2, 3, 4]
HEADS = 4


DIM = 16
SPECS = {
    "text": FeatureSpec(6, 3),
    "image": FeatureSpec(5, 2),
    "audio": FeatureSpec(4, 4),
    "touch": FeatureSpec(7, 1),
}


def random_items(modalities, *, pooled=False, gaps=True, n=30, seed=3):
    """Float64 items of the first modalities, tokens or pooled; with gaps, there are missing tokens
    and missing modalities with NaN behind the mask, and item 0 has nothing."""
    draw = torch.Generator().manual_seed(seed)
    values, mask = {}, {}
    for name, spec in list(SPECS.items())[:modalities]:
        tokens = 1 if pooled else spec.tokens
        x = torch.randn(n, tokens, spec.dim, generator=draw, dtype=torch.float64)
        on = torch.rand(n, tokens, generator=draw) > 0.3
        on &= torch.rand(n, 1, generator=draw) > 0.3
        on[0] = False
        mask[name] = on if gaps else torch.ones_like(on)
        values[name] = torch.where(mask[name][..., None], x, torch.nan)
    return ItemFeatures(values, mask)


def build(part, items):
    """A strategy in float64 with every parameter drawn at random (none at a convenient zero)."""
    torch.manual_seed(0)
    fusion = FUSIONS.parse(part).build(items.specs, DIM).double().eval()
    draw = torch.Generator().manual_seed(7)
    for parameter in fusion.parameters():
        noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        parameter.data.copy_(0.5 * noise)
    return fusion


class Vectors(list):
    """Vectors of the tokens that are on, and where each stood: ``places``."""


def tokens_of(items, row):
    """The tokens that are on, of each modality that the item has."""
    found = {}
    for name, x in items.values.items():
        places = [t for t in range(x.shape[1]) if items.mask[name][row, t]]
        if places:
            found[name] = Vectors(x[row, t].numpy() for t in places)
            found[name].places = places
    return found


def mean(vectors):
    return sum(vectors) / len(vectors)


def gelu(x):
    return x * (1 + erf(x / math.sqrt(2))) / 2


def softplus(x):
    return np.log1p(np.exp(x))


def softmax(x):
    shares = np.exp(np.asarray(x))
    return shares / shares.sum()


class Net:
    """The weights of a strategy by name, and the layers they make up, a vector at a time."""

    def __init__(self, fusion):
        self.state = {name: x.double().numpy() for name, x in fusion.state_dict().items()}

    def __getitem__(self, name):
        return self.state[name]

    def linear(self, name, x):
        return self[f"{name}.weight"] @ x + self.state.get(f"{name}.bias", 0)

    def norm(self, name, x):
        variance = sum((x - x.mean()) ** 2) / len(x)
        scaled = (x - x.mean()) / math.sqrt(variance + 1e-5)
        return scaled * self[f"{name}.weight"] + self[f"{name}.bias"]

    def positions(self, kind, name, vectors):
        """What is added to each of the vectors of a modality for its place t."""
        if kind == "learned":
            return [self[f"positions.{name}"][t] for t in vectors.places]
        if kind == "none":
            return [np.zeros(DIM) for _ in vectors]
        wave = [math.sin, math.cos]
        return [
            np.array([wave[d % 2](t / 10_000 ** (d // 2 * 2 / DIM)) for d in range(DIM)])
            for t in vectors.places
        ]

    def feed_forward(self, name, x):
        return self.linear(f"{name}.2", gelu(self.linear(f"{name}.0", x)))

    def attention(self, name, queries, keys, heads=HEADS):
        """softmax(q k / sqrt(d_h)) v, a query and a head at a time; nothing read adds nothing."""
        if not keys:
            return [np.zeros_like(query) for query in queries]
        read = []
        for query in queries:
            width = len(query) // heads
            parts = []
            for head in range(heads):
                own = slice(head * width, (head + 1) * width)
                q = self.linear(f"{name}.query", query)[own]
                logits = [
                    q @ self.linear(f"{name}.key", key)[own] / math.sqrt(width) for key in keys
                ]
                values = [self.linear(f"{name}.value", key)[own] for key in keys]
                parts.append(sum(a * v for a, v in zip(softmax(logits), values, strict=True)))
            read.append(self.linear(f"{name}.out", np.concatenate(parts)))
        return read

    def self_block(self, name, tokens):
        normed = [self.norm(f"{name}.norm", x) for x in tokens]
        return self._add(name, tokens, self.attention(f"{name}.attention", normed, normed))

    def cross_block(self, name, queries, keys):
        q = [self.norm(f"{name}.norm_queries", x) for x in queries]
        k = [self.norm(f"{name}.norm_keys", x) for x in keys]
        return self._add(name, queries, self.attention(f"{name}.attention", q, k))

    def _add(self, name, tokens, read):
        after = [x + y for x, y in zip(tokens, read, strict=True)]
        return [
            y + self.feed_forward(f"{name}.feed_forward", self.norm(f"{name}.norm_out", y))
            for y in after
        ]


def assert_equals_formula(part, modalities, formula):
    """The one view equals ``formula(net, tokens)``, tokens by name of the modalities there."""
    seen = set()
    for pooled in (False, True):
        for items in (
            random_items(modalities, pooled=pooled),
            random_items(modalities, pooled=pooled, gaps=False, n=2),
        ):
            fusion = build(part, items)
            net, fused = Net(fusion), fusion(items)
            for row in range(len(items)):
                tokens = tokens_of(items, row)
                seen.add(len(tokens))
                assert fused.present[row].tolist() == [bool(tokens)]
                expected = formula(net, tokens) if tokens else np.zeros(DIM)
                view = fused.views[row, 0].detach()
                np.testing.assert_allclose(view, expected, atol=1e-9, rtol=1e-9)
    assert seen == set(range(modalities + 1)), "some numbers of modalities were not met"


def interaction(fusion, modalities):
    """What no sum of functions of fewer modalities can make: the mixed difference of all of them.

    sum over subsets S of (-1)^|S| f(modalities in S swapped), its largest entry in any view.
    """
    here, there = (random_items(modalities, gaps=False, n=8, seed=seed) for seed in (1, 2))
    total = 0
    for swaps in range(2**modalities):
        chosen = [bool(swaps >> index & 1) for index in range(modalities)]
        values = {
            name: (there if swapped else here).values[name]
            for name, swapped in zip(here.values, chosen, strict=True)
        }
        with torch.no_grad():
            total = total + (-1) ** sum(chosen) * fusion(ItemFeatures(values, here.mask)).views
    return total.abs().max().item()
