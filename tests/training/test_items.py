"""Distinct items and modality dropout."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.distinct import Distinct
from fusionlab.training.items import drop_modalities
from tests.conftest import random_features


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 19), max_size=15), min_size=1, max_size=4))
def test_distinct_items_and_their_places(parts):
    find = Distinct(20)
    find([torch.arange(20)])  # what an earlier step left in the buffers must not matter
    items, position = find([torch.tensor(part, dtype=torch.long) for part in parts])
    expected = sorted({item for part in parts for item in part})
    assert items.tolist() == expected
    assert position[items].tolist() == list(range(len(expected)))


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
