"""Distinct items."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.distinct import Distinct


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 19), max_size=15), min_size=1, max_size=4))
def test_distinct_items_and_their_places(parts):
    find = Distinct(20)
    find([torch.arange(20)])  # what an earlier step left in the buffers must not matter
    items, position = find([torch.tensor(part, dtype=torch.long) for part in parts])
    expected = sorted({item for part in parts for item in part})
    assert items.tolist() == expected
    assert position[items].tolist() == list(range(len(expected)))
