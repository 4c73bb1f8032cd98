"""Modality dropout: its rates, and that it never takes an item's last modality."""

import torch

from fusionlab.data.dropout import drop_modalities
from tests.conftest import random_features


def test_dropout_keeps_one_modality_and_hits_the_rate():
    items = random_features(4000, missing=0.0, a=2, b=2, c=2)
    dropped = drop_modalities(items, 0.4, torch.Generator().manual_seed(0))
    left = torch.stack([dropped.present(name) for name in "abc"], 1)
    assert left.any(1).all()
    # All three are drawn with .4^3; one of them is then kept.
    assert abs(left.float().mean() - (0.6 + 0.4**3 / 3)) < 0.015


def test_dropout_never_gives_back_what_is_missing():
    items = random_features(500, missing=0.5, a=2, b=2)
    dropped = drop_modalities(items, 0.9, torch.Generator().manual_seed(0))
    for name in "ab":
        assert not (dropped.present(name) & ~items.present(name)).any()
    before = torch.stack([items.present(name) for name in "ab"], 1).any(1)
    after = torch.stack([dropped.present(name) for name in "ab"], 1).any(1)
    assert torch.equal(before, after)


def test_each_modality_may_have_its_own_rate():
    items, rates = random_features(6000, missing=0.0, a=2, b=2, c=2), torch.tensor([0.8, 0.0, 0.3])
    dropped = drop_modalities(items, rates, torch.Generator().manual_seed(0))
    left = torch.stack([dropped.present(name) for name in "abc"], 1).float().mean(0)
    # The one of rate 0 is always there, so nothing else needs to be kept.
    torch.testing.assert_close(left, 1 - rates, atol=0.02, rtol=0)
    alone = drop_modalities(items.only("a"), rates, torch.Generator().manual_seed(0))
    assert alone.present("a").all()
