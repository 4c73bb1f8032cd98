"""Scores of the pairs of a step: users and their candidates, one by one or by one product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fusionlab.recommenders.rows import squared_size

if TYPE_CHECKING:
    from fusionlab.recommenders.contract import ItemViews, Touched

SHARED = 8
"""A step with at most so many distinct items a candidate of a row scores them all at once."""


def pair_products(queries: Tensor, candidates: Tensor) -> Tensor:
    """<q_b, c_bj> of (B, ..., D) and (B, C, ..., D) as (B, C, ...).

    Many short products: multiplied and summed they are several times faster than as one `bmm`.
    """
    return (queries[:, None] * candidates).sum(-1)


def products_and_size(queries: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """`pair_products` of (B, ..., D) and (B, C, ..., D), and the sum of all elements squared.

    d/dq_b = sum_j g_bj c_bj + 2 s q_b,  d/dc_bj = g_bj q_b + 2 s c_bj

    where g and s are the gradients of the two: one tensor a side, where autograd would compute two
    and add them up.
    """
    found: tuple[Tensor, Tensor] = _ProductsAndSize.apply(queries, candidates)
    return found


class _ProductsAndSize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(queries, candidates)
        size = squared_size(queries) + squared_size(candidates)
        return pair_products(queries, candidates), size

    @staticmethod
    def backward(ctx: Any, of_products: Tensor, of_size: Tensor) -> tuple[Tensor, Tensor]:
        queries, candidates = ctx.saved_tensors
        g, shrink = of_products[..., None], 2 * of_size
        of_queries = (g * candidates).sum(1).addcmul_(shrink, queries)
        return of_queries, (g * queries[:, None]).addcmul_(shrink, candidates)


def view_scores(touched: Touched) -> Tensor:
    """The candidates' scores by view (B, C, K).

    Rows with many of few items share them, and one matrix product scores all of these.
    """
    items, query = _sides(touched)
    if not _shared(touched):
        return pair_products(query, items.at(touched.rows))
    scores = torch.einsum("bkd,nkd->bnk", query, items.views)
    return scores.gather(1, touched.rows[..., None].expand(-1, -1, scores.shape[2]))


def view_scores_and_size(touched: Touched) -> tuple[Tensor, Tensor]:
    """`view_scores`, and the sum of the squares of both sides' views."""
    items, query = _sides(touched)
    if not _shared(touched):
        return products_and_size(query, items.at(touched.rows))
    times = touched.rows.flatten().bincount(minlength=len(items.views))
    size = (items.views.square().sum((1, 2)) * times).sum()
    return view_scores(touched), squared_size(query) + size


def _sides(touched: Touched) -> tuple[ItemViews, Tensor]:
    assert touched.items is not None
    assert touched.query is not None
    return touched.items, touched.query


def _shared(touched: Touched) -> bool:
    """Are there so few distinct items that one product scores them all?"""
    return len(_sides(touched)[0].views) <= SHARED * touched.batch.candidates.shape[1]
