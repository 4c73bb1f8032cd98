"""Second computations: formulas from the papers, an item at a time, in float64 and plain loops."""

import numpy as np
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.checks import Subject
from fusionlab.fusion.contract import FUSIONS

MODALITIES = [1, 2, 3, 4]


def build(part, modalities):
    """A strategy in float64 with every parameter drawn at random (none at a convenient zero)."""
    fusion = Subject(FUSIONS.parse(part), modalities).build().double()
    draw = torch.Generator().manual_seed(7)
    for parameter in fusion.parameters():
        noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        parameter.data.copy_(0.5 * noise)
    return fusion


def random_items(modalities, n=24, seed=3):
    """Items with missing tokens, missing modalities and NaN behind the mask; item 0 has nothing."""
    items = Subject(FUSIONS.parse("sum"), modalities).items(n, seed)
    values = {
        name: torch.where(items.mask[name][..., None], x.double(), torch.nan)
        for name, x in items.values.items()
    }
    return ItemFeatures(values, items.mask)


def mean_tokens(items, row):
    """The mean over the tokens that are on, of each modality that the item has."""
    means = {}
    for name, x in items.values.items():
        tokens = [x[row, t].numpy() for t in range(x.shape[1]) if items.mask[name][row, t]]
        if tokens:
            means[name] = sum(tokens) / len(tokens)
    return means


def state_of(fusion):
    return {name: tensor.double().numpy() for name, tensor in fusion.state_dict().items()}


def affine(state, prefix, x):
    """W x + b of the layer called ``prefix``."""
    return state[f"{prefix}.weight"] @ x + state[f"{prefix}.bias"]


def assert_computes(fusion, items, formula):
    """The strategy's views equal ``formula(state, x)``, x the mean tokens of what an item has."""
    state, fused = state_of(fusion), fusion(items)
    seen = set()
    for row in range(len(items)):
        x = mean_tokens(items, row)
        seen.add(len(x))
        assert fused.present[row].item() == bool(x)
        expected = formula(state, x) if x else np.zeros(fusion.dim)
        np.testing.assert_allclose(fused.views[row, 0].detach(), expected, atol=1e-9, rtol=1e-9)
    assert seen == set(range(len(items.values) + 1)), "some sizes of subsets were not met"


def assert_equals_formula(part, modalities, formula):
    assert_computes(build(part, modalities), random_items(modalities), formula)


def signs(modalities, n, seed, width=6):
    """Items whose modality m shows one bit, and the parity of the bits: pure synergy."""
    draw = torch.Generator().manual_seed(seed)
    bits = torch.randint(2, (n, modalities), generator=draw)
    values = {}
    for m in range(modalities):
        axis = torch.randn(width, generator=torch.Generator().manual_seed(m))
        noise = 0.2 * torch.randn(n, width, generator=draw)
        values[f"m{m}"] = ((2.0 * bits[:, m] - 1)[:, None] * axis + noise)[:, None]
    mask = {name: torch.ones(n, 1, dtype=torch.bool) for name in values}
    return ItemFeatures(values, mask), bits.sum(1) % 2


def parity_accuracy(part, modalities, steps=150, dim=16):
    """Held-out accuracy of a linear head on the views after a few full-batch steps."""
    torch.manual_seed(0)
    (train, classes), (test, truth) = signs(modalities, 400, 0), signs(modalities, 400, 1)
    fusion = FUSIONS.parse(part).build(train.specs, dim)
    head = torch.nn.Linear(dim, 2)
    optimizer = torch.optim.Adam([*fusion.parameters(), *head.parameters()], lr=0.01)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(head(fusion(train).views[:, 0]), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return (head(fusion(test).views[:, 0]).argmax(1) == truth).float().mean().item()
