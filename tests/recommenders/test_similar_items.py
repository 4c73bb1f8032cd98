"""The graph of items that are alike: against dense numpy, by content, and where something lacks."""

import numpy as np
import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.recommenders import neighbours
from fusionlab.recommenders.neighbours import comparable, nearest, similarity_graph
from tests.conftest import random_features


@pytest.fixture(autouse=True)
def nothing_known():
    neighbours._known.clear()


def adjacency(features, name, k):
    """Ones from an item to its k most similar others, from the whole matrix of cosines."""
    on = features.present(name).numpy()
    x = features.values[name].double().mean(1).numpy()
    x = np.where(on[:, None], x, 0)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(length > 0, length, 1)
    cosine = x @ x.T
    cosine[:, ~on] = -np.inf
    np.fill_diagonal(cosine, -np.inf)
    found = np.zeros_like(cosine)
    for row in np.flatnonzero(on):
        best = np.argsort(-cosine[row])[:k]
        found[row, best[np.isfinite(cosine[row, best])]] = 1
    return found


def dense_graph(features, k, importance):
    total = sum(importance.get(m, 1) * adjacency(features, m, k) for m in features.modalities)
    degree = total.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    return scale[:, None] * total * scale


@pytest.mark.parametrize(("rows", "columns"), [(1024, 8192), (7, 4), (30, 30), (4, 31)])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_the_graph_equals_the_dense_formula(features, rows, columns, k, monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", rows)
    monkeypatch.setattr(neighbours, "COLUMNS", columns)
    importance = {"image": 0.3}
    graph = similarity_graph(features, k, importance, "item_graph").toarray()
    np.testing.assert_allclose(graph, dense_graph(features, k, importance), atol=1e-6)


def test_new_features_make_a_new_graph_and_the_same_ones_do_not(features, monkeypatch):
    searched = []
    search = neighbours._nearest
    monkeypatch.setattr(
        neighbours, "_nearest", lambda *args: searched.append(args[1:]) or search(*args)
    )

    def graph(of, k=3):
        return similarity_graph(of, k, {}, "item_graph").toarray()

    first = graph(features)
    assert len(searched) == 2
    assert np.array_equal(graph(ItemFeatures(dict(features.values), features.mask)), first)
    assert len(searched) == 2
    other = {n: x.clone() for n, x in features.values.items()}
    other["text"] = other["text"].flip(0)
    changed = ItemFeatures(other, {**features.mask, "text": features.mask["text"].flip(0)})
    found = graph(changed)
    assert not np.array_equal(found, first)
    np.testing.assert_allclose(found, dense_graph(changed, 3, {}), atol=1e-6)
    assert searched[2:] == [("text", 3, range(30), 30)]
    assert not np.array_equal(graph(features, 4), first)
    assert np.array_equal(graph(features), first)


def test_what_is_remembered_is_bounded():
    for seed in range(2 * neighbours.KEPT):
        nearest(random_features(seed=seed), "text", 2)
    assert len(neighbours._known) == neighbours.KEPT


def test_who_lacks_a_modality_or_has_no_direction_in_it_has_no_neighbours(features):
    values = features.values["text"].clone()
    there = features.present("text")
    zero = int(there.nonzero()[0])
    values[zero] = 0
    some = ItemFeatures({"text": values}, {"text": features.mask["text"]})
    found = nearest(some, "text", 5)
    without = [zero, *(~there).nonzero().flatten().tolist()]
    assert (found[without] == -1).all()
    assert not set(without) & set(found.flatten().tolist())
    assert (found[there & (torch.arange(30) != zero)] >= 0).all()


def test_tokens_are_averaged_over_those_that_are_on():
    draw = torch.Generator().manual_seed(0)
    x, on = torch.randn(9, 3, 4, generator=draw), torch.rand(9, 3, generator=draw) < 0.6
    on[:, 0] = True
    mean = torch.where(on[..., None], x, 0).sum(1, keepdim=True) / on.sum(1)[:, None, None]
    tokens = ItemFeatures({"text": torch.where(on[..., None], x, torch.nan)}, {"text": on})
    pooled = ItemFeatures({"text": mean}, {"text": torch.ones(9, 1, dtype=torch.bool)})
    assert torch.equal(nearest(tokens, "text", 4), nearest(pooled, "text", 4))


def test_token_ids_are_not_compared(features):
    ids = torch.ones(30, 4, 1, dtype=torch.long)
    values = {"ids": ids, **features.values}
    mixed = ItemFeatures(values, {"ids": ids[..., 0] > 0, **features.mask}, {"ids": 10})
    assert comparable(mixed, "item_graph") == ("text", "image")
    with pytest.raises(FusionlabError, match=r"'item_graph'.*\(ids\).*frozen encoder"):
        comparable(mixed.without_columns({"text", "image"}), "item_graph")
