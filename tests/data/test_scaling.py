"""Scaling by train items."""

import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.data.scaling import rescale
from tests.conftest import random_features


@pytest.mark.parametrize("by", ["modality", "feature"])
def test_train_tokens_get_mean_zero_and_variance_one(by):
    draw = torch.Generator().manual_seed(0)
    stretch = torch.tensor([1.0, 5.0, 0.1, 0.0])
    x = torch.randn(500, 2, 4, generator=draw) * stretch + 7
    mask = torch.rand(500, 2, generator=draw) > 0.3
    x = torch.where(mask[..., None], x, torch.nan)
    train = torch.arange(0, 500, 2)
    scaled = rescale(ItemFeatures({"a": x}, {"a": mask}), train, by).values["a"]
    tokens = scaled[train][mask[train]]
    assert torch.allclose(tokens.mean(0), torch.zeros(4), atol=1e-5)
    variance = tokens.var(0, correction=0)
    if by == "feature":
        assert torch.allclose(variance, torch.tensor([1.0, 1.0, 1.0, 0.0]), atol=1e-4)
    else:
        assert variance.mean() == pytest.approx(1, abs=1e-4)
        assert torch.allclose(variance / variance[0], stretch.square(), rtol=0.25)


def test_held_out_items_do_not_move_the_scale():
    features = random_features(missing=0.0)
    train = torch.arange(20)
    other = features.values["text"].clone()
    other[20:] *= 1000
    changed = ItemFeatures({**features.values, "text": other}, features.mask)
    first, second = (rescale(one, train, "modality").values["text"] for one in (features, changed))
    assert torch.equal(first[:20], second[:20])


def test_none_leaves_the_features_alone():
    features = random_features()
    assert rescale(features, torch.arange(5), "none") is features
