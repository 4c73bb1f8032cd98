"""Small worlds that many tests share."""

import numpy as np
import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks


def random_clicks(users=20, items=30, per_user=6, seed=0):
    """Each user clicks ``per_user`` different items (user 0 one, user 1 none)."""
    draw = np.random.default_rng(seed)
    counts = [1, 0] + [per_user] * (users - 2)
    chosen = [draw.choice(items, count, replace=False) for count in counts]
    return Clicks.from_pairs(
        np.repeat(np.arange(users), counts), np.concatenate(chosen), users, items
    )


def random_features(items=30, seed=0, missing=0.2, **widths):
    """Pooled features of some modalities with missing entries behind NaN."""
    draw = torch.Generator().manual_seed(seed)
    values, mask = {}, {}
    for name, width in (widths or {"text": 5, "image": 4}).items():
        x = torch.randn(items, 1, width, generator=draw)
        on = torch.rand(items, 1, generator=draw) >= missing
        values[name], mask[name] = torch.where(on[..., None], x, torch.nan), on
    return ItemFeatures(values, mask)


@pytest.fixture
def clicks():
    return random_clicks()


@pytest.fixture
def features():
    return random_features()
