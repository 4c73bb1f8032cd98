"""The approximate index on a large catalogue: recall against exact lists, and queries a second.

    python benchmarks/faiss_recall.py --items 1000000 --width 64

Item vectors are a mixture of clusters, as items of like content are; queries are means of twenty
items of a few clusters, as profiles are.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.ranking import top_k
from fusionlab.recommenders.catalogue_product import CatalogueProduct
from fusionlab.serving.faiss_index import FaissIndex

HISTORY, CLUSTERS_LIKED = 20, 3


def catalogue(
    items: int, width: int, clusters: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Vectors (N, E) and the cluster (N,) of each."""
    centres = torch.randn(clusters, width, generator=draw)
    of = torch.randint(clusters, (items,), generator=draw)
    return centres[of] + 0.7 * torch.randn(items, width, generator=draw), of


def profiles(vectors: Tensor, of: Tensor, users: int, draw: torch.Generator) -> Tensor:
    """(U, E): means of items of a few clusters."""
    order = of.argsort()
    starts = torch.searchsorted(of[order], torch.arange(int(of.max()) + 2))
    liked = torch.randint(int(of.max()) + 1, (users, CLUSTERS_LIKED), generator=draw)
    chosen = liked.gather(1, torch.randint(CLUSTERS_LIKED, (users, HISTORY), generator=draw))
    size = starts[chosen + 1] - starts[chosen]
    place = starts[chosen] + (torch.rand(chosen.shape, generator=draw) * size).long()
    return vectors[order[place.clamp(max=len(of) - 1)]].mean(1)


def main() -> None:
    """Build, search both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=2_000)
    parser.add_argument("--users", type=int, default=256)
    parser.add_argument("--k", type=int, default=20)
    asked, draw = parser.parse_args(), torch.Generator().manual_seed(0)
    torch.set_num_threads(1)
    vectors, of = catalogue(asked.items, asked.width, asked.clusters, draw)
    queries = profiles(vectors, of, asked.users, draw)
    product, users = CatalogueProduct(vectors), torch.arange(asked.users)
    nothing = Clicks(torch.zeros(asked.users + 1).long(), torch.zeros(0).long(), asked.items)
    started = time.perf_counter()
    exact, _ = top_k(lambda some: product(queries[some]), nothing, users, asked.k)
    seconds = time.perf_counter() - started
    print(f"exact: {asked.users / seconds:,.0f} queries/s")
    started = time.perf_counter()
    index = FaissIndex(vectors)
    print(f"index built in {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    found, _ = index.search(queries, asked.k)
    seconds = time.perf_counter() - started
    recall = (exact[:, :, None] == found[:, None]).any(2).double().mean()
    print(f"faiss: {asked.users / seconds:,.0f} queries/s, recall@{asked.k} {recall:.4f}")


if __name__ == "__main__":
    main()
