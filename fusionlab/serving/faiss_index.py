"""Approximate search of large catalogues by inner product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import NOTHING, top_k
from fusionlab.recommenders.catalogue_product import CatalogueProduct

EXACT = 10_000
"""Catalogues up to this size are searched in full."""
LISTS = 4
"""Inverted lists: this many times the root of the catalogue's size."""
PROBED = 1 / 32
"""Share of the lists that a search reads unless it is told."""
TRAINED = 64
"""Item vectors a list that the lists are found from."""


@dataclass(frozen=True)
class Against:
    """An index held against exact lists: the share of these that it finds, and how many ``queries``
    at once both answer in a second."""

    recall: float
    queries: int
    per_second: float
    exact_per_second: float


class FaissIndex:
    """An inverted file over item vectors (N, E): only lists whose centres score highest are read.

    Args:
        items: (N, E), as of `Scoring.item_vectors`.
        probed: how many of the ``lists`` (0: none, all is searched) are read; more finds more,
            slower. How many find enough depends on the data: `against_exact` tells.

    Raises:
        FusionlabError: Faiss is not there, or ``probed`` is no number of lists.

    Source: Johnson, Douze and Jégou 2019, Billion-scale similarity search with GPUs.
    """

    def __init__(self, items: Tensor, probed: int | None = None) -> None:
        try:
            import faiss
        except ImportError:
            raise FusionlabError(
                "index: 'faiss' needs Faiss: pip install 'fusionlab-recsys[faiss]'"
            ) from None
        self.items = items.detach().cpu().float().contiguous()
        n, width = self.items.shape
        self.lists = 0 if n <= EXACT else int(LISTS * n**0.5)
        self.index: Any = faiss.IndexFlatIP(width)
        if self.lists:
            coarse, inner = self.index, faiss.METRIC_INNER_PRODUCT
            self.index = faiss.IndexIVFFlat(coarse, width, self.lists, inner)
        self.probe(max(1, round(PROBED * self.lists)) if probed is None else probed)
        if self.lists:
            draw = torch.Generator().manual_seed(0)
            some = torch.randperm(n, generator=draw)[: TRAINED * self.lists]
            self.index.train(self.items[some].numpy())
        self.index.add(self.items.numpy())

    def probe(self, lists: int) -> None:
        """Read that many lists from now on."""
        if lists < 1 or 0 < self.lists < lists:
            most = f"1 to {self.lists}, the lists of" if self.lists else "at least 1 of"
            raise FusionlabError(
                f"probed: found {lists}, expected {most} an index of {len(self.items):,} items"
            )
        self.probed = lists
        if self.lists:
            self.index.nprobe = lists

    def search(self, queries: Tensor, k: int, seen: Clicks | None = None) -> tuple[Tensor, Tensor]:
        """Rows (b, k) and scores (b, k) of the best items found, those ``seen`` (by b) left out.

        A list that is shorter ends in `NOTHING` (-1) with score -inf, as of `top_k`.
        """
        more = 0 if seen is None else int(seen.counts.max())
        wanted = min(k + more, len(self.items))
        values, rows = self.index.search(queries.detach().cpu().float().numpy(), wanted)
        scores, items = torch.from_numpy(values), torch.from_numpy(rows)
        scores[items == NOTHING] = -torch.inf
        if seen is not None:
            for row in range(len(items)):
                own = seen.items[seen.indptr[row] : seen.indptr[row + 1]]
                scores[row, torch.isin(items[row], own)] = -torch.inf
        best = scores.topk(min(k, wanted), dim=1)
        found = items.gather(1, best.indices).where(best.values > -torch.inf, NOTHING)
        short = (0, k - found.shape[1])
        pad = torch.nn.functional.pad
        return pad(found, short, value=NOTHING), pad(best.values, short, value=-torch.inf)

    def recall(self, queries: Tensor, k: int) -> float:
        """The share of the ``k`` best items of each query (b, E) that a search finds."""
        return self.against_exact(queries, k).recall

    def against_exact(self, queries: Tensor, k: int) -> Against:
        """Lists of ``k`` items for queries (b, E), beside those of one product with all items."""
        here = queries.detach().cpu().float()
        nothing = Clicks(torch.zeros(len(here) + 1).long(), torch.zeros(0).long(), len(self.items))
        users = torch.arange(len(here))
        product = CatalogueProduct(self.items)
        self.search(here[:1], k)  # the first one has more to do
        exact, slow = _timed(lambda: top_k(lambda some: product(here[some]), nothing, users, k)[0])
        found, fast = _timed(lambda: self.search(here, k)[0])
        hits = (exact[:, :, None] == found[:, None]).any(2) & (exact != NOTHING)
        recall = float(hits.sum() / (exact != NOTHING).sum())
        return Against(recall, len(here), len(here) / fast, len(here) / slow)


def _timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """What came of it, and the seconds it took."""
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started
