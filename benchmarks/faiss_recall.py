"""The approximate index on a large catalogue: recall against exact lists, and queries a second.

    python benchmarks/faiss_recall.py --items 1000000 --width 64
    python benchmarks/faiss_recall.py --items 200000 --unclustered --probed 224 894

Item vectors are a mixture of clusters, as items of like content are; queries are means of twenty
items of a few clusters, as profiles are. With ``--unclustered`` items are Gaussian and queries are
means of any twenty: the hardest case for lists of near items.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from fusionlab.serving.faiss_index import FaissIndex

HISTORY, CLUSTERS_LIKED = 20, 3
REPEATS = 3
"""The fastest counts."""


def catalogue(
    items: int, width: int, clusters: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Vectors (N, E) and the cluster (N,) of each; without clusters all are in one."""
    if not clusters:
        return torch.randn(items, width, generator=draw), torch.zeros(items).long()
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
    parser.add_argument("--unclustered", action="store_true")
    parser.add_argument("--probed", type=int, nargs="*", default=[], help="beside the default")
    parser.add_argument("--users", type=int, default=256)
    parser.add_argument("--k", type=int, default=20)
    asked, draw = parser.parse_args(), torch.Generator().manual_seed(0)
    torch.set_num_threads(1)
    clusters = 0 if asked.unclustered else asked.clusters
    vectors, of = catalogue(asked.items, asked.width, clusters, draw)
    queries = profiles(vectors, of, asked.users, draw)
    started = time.perf_counter()
    index = FaissIndex(vectors)
    print(f"index of {index.lists} lists built in {time.perf_counter() - started:.1f} s")
    for probed in [index.probed, *asked.probed]:
        index.probe(probed)
        found = [index.against_exact(queries, asked.k) for _ in range(REPEATS)]
        fast = max(one.per_second for one in found)
        exact = max(one.exact_per_second for one in found)
        print(
            f"{probed} probed: recall@{asked.k} {found[0].recall:.4f}, {fast:,.0f} queries/s "
            f"beside {exact:,.0f} exact"
        )


if __name__ == "__main__":
    main()
