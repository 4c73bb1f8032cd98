"""Scores of the pairs of a step: users and their candidates, one by one or by one product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fusionlab.recommenders.contract import Touched

SHARED = 8
"""A step with at most so many distinct items a candidate of a row scores them all at once."""


def pair_products(queries: Tensor, candidates: Tensor) -> Tensor:
    """<q_b, c_bj> of (B, ..., D) and (B, C, ..., D) as (B, C, ...).

    Many short products: multiplied and summed they are several times faster than as one `bmm`.
    """
    return (queries[:, None] * candidates).sum(-1)


def view_scores(touched: Touched) -> Tensor:
    """The candidates' scores by view (B, C, K).

    Rows with many of few items share them, and one matrix product scores all of these.
    """
    items, query, candidates = touched.items, touched.query, touched.batch.candidates
    assert items is not None
    assert query is not None
    if len(items.views) > SHARED * candidates.shape[1]:
        return pair_products(query, items.take(candidates))
    scores = torch.einsum("bkd,nkd->bnk", query, items.views)
    return scores.gather(1, items.rows(candidates)[..., None].expand(-1, -1, scores.shape[2]))
