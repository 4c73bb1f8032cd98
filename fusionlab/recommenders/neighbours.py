"""Items that are alike in their features: cosine, nearest neighbours, the graph of both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.fingerprint import fingerprint
from fusionlab.errors import FusionlabError
from fusionlab.fusion.layers import pool_tokens
from fusionlab.linear import linear

if TYPE_CHECKING:
    from scipy import sparse

ROWS, COLUMNS = 1024, 8192
"""Items that are compared at a time: N x N similarities never stand in memory."""
KEPT = 8
_known: OrderedDict[str, Tensor] = OrderedDict()


def comparable(features: ItemFeatures, reader: str) -> tuple[str, ...]:
    """The modalities whose features are vectors, no token ids or row numbers.

    Raises:
        FusionlabError: there is none.
    """
    found = tuple(name for name, x in features.values.items() if x.is_floating_point())
    if not found:
        raise FusionlabError(
            f"recommender {reader!r}: found no modality whose features are vectors that stay "
            f"({', '.join(features.modalities)}); expected features of a frozen encoder"
        )
    return found


def directions(features: ItemFeatures, modality: str) -> tuple[Tensor, Tensor]:
    """Mean tokens (B, d) of length one, float32, and who has one (B,) bool; the others are zero.

    Zero vectors point nowhere: an item whose mean token is zero has no direction.
    """
    pooled = pool_tokens(features.values[modality], features.mask[modality]).float()
    length = torch.linalg.vector_norm(pooled, dim=1)
    there = length > 0
    return pooled / torch.where(there, length, 1)[:, None], there


def nearest(features: ItemFeatures, modality: str, k: int, n_known: int | None = None) -> Tensor:
    """The ``k`` most similar other items of each, (N, min(k, N)), by cosine; -1 where there are no
    more. An item without the modality has no neighbours and is nobody's.

    Items beyond the first ``n_known`` were added later: they have neighbours among those, and are
    nobody's. Of recent features the neighbours are remembered, by all that may change one of them:
    the content of the features, k, device and threads.
    """
    if n_known is not None and n_known < len(features):
        known = nearest(features.part(0, n_known), modality, k)
        later = range(n_known, len(features))
        return torch.cat([known, _nearest(features, modality, k, later, n_known)])
    values, mask = features.values[modality], features.mask[modality]
    how = f"{k} {values.device} {torch.get_num_threads()}"
    key = fingerprint([how, ItemFeatures({"": values}, {"": mask})])
    if key not in _known:
        _known[key] = _nearest(features, modality, k, range(len(features)), len(features))
        while len(_known) > KEPT:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return _known[key]


@torch.no_grad()
def _nearest(features: ItemFeatures, modality: str, k: int, items: range, n: int) -> Tensor:
    """Of ``items``, among the first ``n``."""
    blocks = []
    for start in items[::ROWS]:
        end = min(start + ROWS, items.stop)
        rows, there = directions(features.part(start, end), modality)
        best = rows.new_empty(len(rows), 0)
        best_items = torch.empty(len(rows), 0, dtype=torch.long, device=rows.device)
        for left in range(0, n, COLUMNS):
            right = min(left + COLUMNS, n)
            columns, known = directions(features.part(left, right), modality)
            number = torch.arange(left, right, device=rows.device)
            same = number == torch.arange(start, end, device=rows.device)[:, None]
            similar = linear(rows, columns).masked_fill_(same | ~known, -torch.inf)
            best, best_items = _best(
                torch.cat([best, similar], 1), torch.cat([best_items, number.expand_as(same)], 1), k
            )
        blocks.append(best_items.masked_fill(best.isneginf() | ~there[:, None], -1).cpu())
    return torch.cat(blocks)


def _best(similar: Tensor, items: Tensor, k: int) -> tuple[Tensor, Tensor]:
    best, at = similar.topk(min(k, similar.shape[1]), dim=1)
    return best, items.gather(1, at)


def similarity_graph(
    features: ItemFeatures,
    k: int,
    importance: Mapping[str, float],
    reader: str,
    n_known: int | None = None,
) -> sparse.csr_array:
    """S = D^-1/2 A D^-1/2 (N, N), A = sum_m importance_m A_m, D its row sums.

    A_m has a one where an item (row) has another among its k nearest in modality m. Since D divides
    by what an item has, a modality that is masked everywhere equals one that never was there.

    Items beyond the first ``n_known`` were added later: they get rows of their own, no column, and
    change nothing of what the others had, (N, n_known).
    """
    from scipy import sparse  # here: importing SciPy slows every start

    n = len(features)
    m = n if n_known is None else n_known
    total = sparse.csr_array((n, m))
    for name in comparable(features, reader):
        found = nearest(features, name, k, n_known).numpy()
        row, place = np.nonzero(found >= 0)
        weight = np.full(len(row), importance.get(name, 1.0))
        total = total + sparse.csr_array((weight, (row, found[row, place])), shape=(n, m))
    degree = total.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros(n), where=degree > 0)
    scaled: sparse.csr_array = sparse.diags_array(scale) @ total @ sparse.diags_array(scale[:m])
    return scaled.tocsr()
