"""Reduction to the principal axes of train items."""

import pytest
import torch
from sklearn.decomposition import PCA

from fusionlab.data.features import ItemFeatures
from fusionlab.data.reduction import reduce_features

TRAIN = torch.arange(0, 300, 2)


def made_of(rank, width=12, items=300):
    """Features in ``rank`` dimensions, but for a little noise; some tokens are missing."""
    draw = torch.Generator().manual_seed(0)
    basis = torch.randn(rank, width, generator=draw)
    x = torch.randn(items, 2, rank, generator=draw) @ basis
    x = x + 1e-3 * torch.randn(x.shape, generator=draw)
    mask = torch.rand(items, 2, generator=draw) > 0.2
    return ItemFeatures({"a": torch.where(mask[..., None], x, torch.nan)}, {"a": mask})


def test_finds_the_rank_and_keeps_the_distances():
    features = made_of(rank=3)
    reduced = reduce_features(features, TRAIN, 0.999)
    assert reduced.specs["a"].dim == 3
    mask = features.mask["a"]
    before, after = features.values["a"][mask], reduced.values["a"][mask]
    assert torch.allclose(torch.cdist(before, before), torch.cdist(after, after), atol=0.05)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_keeps_as_many_axes_as_scikit_learn(share):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(300, 1, 12, generator=draw) * torch.linspace(0.2, 3, 12)
    train = x[TRAIN, 0]
    x = x - train.mean(0)
    features = ItemFeatures({"a": x}, {"a": torch.ones(300, 1, dtype=torch.bool)})
    reduced = reduce_features(features, TRAIN, share).values["a"][:, 0]
    theirs = PCA(n_components=share, svd_solver="full").fit(x[TRAIN, 0].double())
    expected = torch.from_numpy(theirs.transform(x[:, 0].double())).float()
    assert reduced.shape == expected.shape
    assert torch.allclose(reduced.abs(), expected.abs(), atol=1e-4)


def test_all_of_the_energy_is_a_rotation_and_a_constant_modality_keeps_one_column():
    features = made_of(rank=12)
    assert reduce_features(features, TRAIN, 1.0).specs["a"].dim == 12
    empty = ItemFeatures({"a": torch.zeros(300, 2, 4)}, {"a": torch.ones(300, 2).bool()})
    assert reduce_features(empty, TRAIN, 0.9).specs["a"].dim == 1


def test_held_out_items_do_not_move_the_axes():
    features = made_of(rank=5)
    other = features.values["a"].clone()
    other[1::2] *= 100
    changed = ItemFeatures({"a": other}, features.mask)
    first, second = (reduce_features(one, TRAIN, 0.9).values["a"] for one in (features, changed))
    mask = features.mask["a"][TRAIN]
    assert torch.equal(first[TRAIN][mask], second[TRAIN][mask])
