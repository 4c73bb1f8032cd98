"""Noise as large as it says, beside the features that are there."""

import pytest
import torch

from fusionlab.data.augmentation.contract import AUGMENTATIONS


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_noise_goes_by_the_size_of_what_is_there(scale):
    draw = torch.Generator().manual_seed(0)
    values = scale * torch.randn(500, 2, 20, generator=draw)
    mask = torch.rand(500, 2, generator=draw) < 0.5
    values[~mask] = 1e6
    part = AUGMENTATIONS.parse({"name": "feature_noise", "sigma": 0.3}).build()
    found, on = part.features(values, mask, draw)
    assert on is mask
    noise = (found - values)[mask]
    assert noise.std().item() == pytest.approx(0.3 * scale, rel=0.03)
    assert noise.mean().abs().item() < 0.01 * scale
