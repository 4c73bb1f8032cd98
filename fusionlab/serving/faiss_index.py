"""Approximate search of large catalogues by inner product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import NOTHING, top_k

EXACT = 10_000
"""Catalogues up to this size are searched in full."""
LISTS = 4
"""Inverted lists: this many times the root of the catalogue's size."""
PROBED = 1 / 32
"""Share of the lists that a search reads."""
TRAINED = 64
"""Item vectors a list that the lists are found from."""


class FaissIndex:
    """An inverted file over item vectors (N, E): only lists whose centres score highest are read.

    Args:
        items: (N, E), as of `Scoring.item_vectors`.
        probed: share of the lists that are read; more finds more, slower.

    Source: Johnson, Douze and Jégou 2019, Billion-scale similarity search with GPUs.
    """

    def __init__(self, items: Tensor, probed: float = PROBED) -> None:
        try:
            import faiss
        except ImportError:
            raise FusionlabError(
                "index: 'faiss' needs Faiss: pip install 'fusionlab-recsys[faiss]'"
            ) from None
        self.items = items.detach().cpu().float().contiguous()
        n, width = self.items.shape
        if n <= EXACT:
            self.index: Any = faiss.IndexFlatIP(width)
        else:
            lists = int(LISTS * n**0.5)
            coarse = faiss.IndexFlatIP(width)
            self.index = faiss.IndexIVFFlat(coarse, width, lists, faiss.METRIC_INNER_PRODUCT)
            self.index.nprobe = max(1, round(probed * lists))
            draw = torch.Generator().manual_seed(0)
            some = torch.randperm(n, generator=draw)[: TRAINED * lists]
            self.index.train(self.items[some].numpy())
        self.index.add(self.items.numpy())

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
        here = queries.detach().cpu().float()
        nothing = Clicks(torch.zeros(len(here) + 1).long(), torch.zeros(0).long(), len(self.items))
        users = torch.arange(len(here))
        exact, _ = top_k(lambda some: here[some] @ self.items.T, nothing, users, k)
        found, _ = self.search(here, k)
        hits = (exact[:, :, None] == found[:, None]).any(2) & (exact != NOTHING)
        return float(hits.sum() / (exact != NOTHING).sum())
