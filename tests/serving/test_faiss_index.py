"""The approximate index: exact where it is small, its recall where not, refused where wrong."""

import sys

import pytest
import torch
from click.testing import CliRunner
from small_runs import trained_run

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.reporting.recommended import told_of
from fusionlab.serving import faiss_index
from fusionlab.serving.faiss_index import FaissIndex
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
            assert one.index == {}


def test_a_large_one_is_found_in_part_and_seen_items_are_left_out():
    pytest.importorskip("faiss")
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


def test_recall_is_the_share_of_exact_lists_that_is_found():
    """Of vectors without clusters few lists hold a small part of what they should."""
    pytest.importorskip("faiss")
    draw = torch.Generator().manual_seed(0)
    items = torch.randn(12_000, 16, generator=draw)
    queries = torch.randn(40, 16, generator=draw)
    index, recalls = FaissIndex(items, probed=2), []
    assert (index.lists, index.probed) == (438, 2)
    exact = (queries.double() @ items.double().T).argsort(1, descending=True)[:, :10]
    for probed in (2, 40, 438):
        index.probe(probed)
        found, _ = index.search(queries, 10)
        shared = [len({*a} & {*b}) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
        recalls.append(index.recall(queries, 10))
        assert recalls[-1] == pytest.approx(sum(shared) / 400)
    assert 0.02 < recalls[0] < 0.5
    assert recalls[0] + 0.2 < recalls[1] < recalls[2] == 1
    told = index.against_exact(queries, 10)
    assert (told.recall, told.queries) == (1, 40)
    assert min(told.per_second, told.exact_per_second) > 0


def test_a_list_that_nobody_can_fill_counts_for_what_there_is():
    pytest.importorskip("faiss")
    items = torch.eye(3)
    assert FaissIndex(items).recall(torch.ones(2, 3), 5) == 1


@pytest.fixture
def small_lists(monkeypatch):
    """Catalogues of forty items are parted into 25 lists."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(faiss_index, "EXACT", 30)


@pytest.mark.usefixtures("small_lists")
@pytest.mark.parametrize(("users", "timed"), [(60, False), (120, True)])
def test_how_it_searched_is_told_and_how_fast_where_many_asked(tmp_path, users, timed):
    data = {"name": "synthetic", "users": users, "items": 40, "clicks": 12}
    store = RunStore(tmp_path)
    trained = trained_run(store, dataset=data)
    service = Service(trained, index="faiss", probed=2)
    (found,) = service.recommend(["u0"], 5)
    ranker = service.scoring.ranker
    everyone = ranker.product_rows(*ranker.queries(torch.arange(users)))
    assert found.recall == service.index.recall(everyone, 5) < 1
    assert (found.index["probed"], found.index["lists"]) == (2, 25)
    assert ("per_second" in found.index) == timed
    (line,) = told_of(found, explained=False)
    assert line.startswith(f"approximate index: recall {found.recall:.4f} of the exact lists, 2 of")
    assert ("120 at once" in line) == timed
    (more,) = Service(trained, index="faiss", probed=25).recommend(["u0"], 5)
    assert more.recall == 1
    assert [one.item for one in more.items] == [
        one.item for one in Service(trained).recommend(["u0"], 5)[0].items
    ]
    asked = ["recommend", trained.record.id, "--user", "u0", "--k", "5", "--index", "faiss"]
    told = CliRunner().invoke(main, [*asked, "--probed", "2", "--runs", str(store.root)])
    assert f"recall {found.recall:.4f} of the exact lists, 2 of 25 lists probed" in told.output


@pytest.mark.usefixtures("small_lists")
def test_lists_that_are_not_there_cannot_be_probed(tmp_path):
    trained = trained_run(RunStore(tmp_path))
    for probed in (0, 26):
        with pytest.raises(FusionlabError, match=f"probed: found {probed}, expected 1 to 25"):
            Service(trained, index="faiss", probed=probed)
    with pytest.raises(FusionlabError, match="found 5 without an index, expected index='faiss'"):
        Service(trained, probed=5)
    told = CliRunner().invoke(main, ["recommend", "any", "--user", "u0", "--probed", "5"])
    assert (told.exit_code, "--probed needs --index faiss" in told.output) == (2, True)


def test_without_faiss_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(FusionlabError, match=r"pip install 'fusionlab-recsys\[faiss\]'"):
        Service(trained_run(RunStore(tmp_path)), index="faiss")
