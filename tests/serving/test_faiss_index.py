"""The approximate index: exact where it is small, its recall where not, refused where wrong."""

import pytest
import torch
from small_runs import trained_run

from fusionlab.errors import FusionlabError
from fusionlab.serving.people import as_clicks
from fusionlab.serving.recommend import Service
from fusionlab.studies.store import RunStore


def test_scores_that_are_no_inner_product_are_refused(tmp_path):
    for changes in ({"recommender": "hybrid", "fusion": "user_gate"}, {"recommender": "random"}):
        trained = trained_run(RunStore(tmp_path), **changes)
        with pytest.raises(FusionlabError, match="no inner product"):
            Service(trained, index="faiss")


def test_a_small_catalogue_is_searched_in_full(tmp_path):
    pytest.importorskip("faiss")
    for recommender in ("content", "hybrid"):
        trained = trained_run(RunStore(tmp_path), recommender=recommender)
        users = ["u0", "u1", "u2"]
        exact = Service(trained).recommend(users, 5)
        found = Service(trained, index="faiss").recommend(users, 5)
        for one, other in zip(found, exact, strict=True):
            assert [item.item for item in one.items] == [item.item for item in other.items]
            assert one.recall == 1


def test_a_large_one_is_found_in_part_and_seen_items_are_left_out():
    pytest.importorskip("faiss")
    from fusionlab.serving.faiss_index import FaissIndex

    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(100, 16, generator=draw)
    of = torch.randint(100, (12_000,), generator=draw)
    items = centres[of] + 0.3 * torch.randn(12_000, 16, generator=draw)
    index, queries = FaissIndex(items), centres[:50]
    assert 0.7 < index.recall(queries, 10) <= 1
    rows, scores = index.search(queries, 10)
    torch.testing.assert_close(scores, (queries @ items.T).gather(1, rows), atol=1e-4, rtol=1e-4)
    seen = as_clicks(rows[:, :3].tolist(), 12_000)
    again, _ = index.search(queries, 7, seen)
    assert torch.equal(again, rows[:, 3:])
