import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_reference import clicks

from fusionlab.evaluation import metrics
from fusionlab.evaluation.metrics import hits_of
from fusionlab.evaluation.ranking import NOTHING


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 9), most=st.integers(0, 30))
def test_hits_are_the_relevant_items_whether_clicks_or_entries_are_fewer(seed, k, most) -> None:
    draw = torch.Generator().manual_seed(seed)
    rows = [
        torch.randperm(30, generator=draw)[: int(torch.randint(0, most + 1, (), generator=draw))]
        for _ in range(6)
    ]
    rows[0] = torch.tensor([3])
    users = torch.randint(0, 6, (9,), generator=draw)
    lists = torch.rand(9, 30, generator=draw).topk(k).indices
    lists[0, -1] = NOTHING
    found = hits_of(lists, clicks([row.tolist() for row in rows], 30), users)
    expected = [
        [float(item in rows[user]) for item in shown]
        for user, shown in zip(users.tolist(), lists.tolist(), strict=True)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_how_many_clicks_are_looked_up_at_once_changes_nothing(monkeypatch, at_once) -> None:
    monkeypatch.setattr(metrics, "CLICKS_AT_ONCE", at_once)
    lists = torch.tensor([[4, 1, 2], [0, 9, NOTHING], [7, 8, 6]])
    found = hits_of(lists, clicks([[1, 4], [5, 9], [6]], 10), torch.arange(3))
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
