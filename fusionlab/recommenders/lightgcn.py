"""Matrix factorisation whose factors are smoothed over the graph of train clicks."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context, Recommender
from fusionlab.recommenders.ranker import Ranker, TableRanker
from fusionlab.recommenders.rows import squared_size, take_rows
from fusionlab.recommenders.step import Batch, IdRows, ItemViews, Touched
from fusionlab.spaces import Range, Spaces

# Torch says so once a process; the two products used here are tested against dense ones.
warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")

Tables = tuple[Tensor, Tensor]
"""A table of users (U, E) and one of items (N, E)."""


class ClickGraph(nn.Module):
    """The bipartite graph of clicks, symmetrically normalised: R_ui = 1 / sqrt(deg u * deg i).

    The adjacency [[0, R], [R^T, 0]] is kept as its two blocks in compressed sparse rows (CSR): the
    products write users and items into separate tables, and none of them needs a transpose. The
    parts are plain buffers, which move with the module; a product wraps them into matrices.

    Args:
        clicks: the edges; users and items without any are isolated nodes.
    """

    user_starts: Tensor
    user_items: Tensor
    user_weights: Tensor
    item_starts: Tensor
    item_users: Tensor
    item_weights: Tensor

    def __init__(self, clicks: Clicks) -> None:
        super().__init__()
        users, items = clicks.users, clicks.by_item
        degrees = clicks.counts.double()[users] * clicks.popularity.double()[items]
        weights = degrees.rsqrt().to(torch.get_default_dtype())
        order = items.argsort(stable=True)
        parts = {
            "user_starts": clicks.indptr,
            "user_items": items,
            "user_weights": weights,
            "item_starts": F.pad(clicks.popularity.cumsum(0), (1, 0)),
            "item_users": users[order],
            "item_weights": weights[order],
        }
        for name, part in parts.items():
            self.register_buffer(name, part, persistent=False)

    def matrices(self) -> Tables:
        """R (U, N) and R^T (N, U) as CSR."""
        shape = len(self.user_starts) - 1, len(self.item_starts) - 1
        by_user = torch.sparse_csr_tensor(
            self.user_starts, self.user_items, self.user_weights, shape, check_invariants=False
        )
        by_item = torch.sparse_csr_tensor(
            self.item_starts,
            self.item_users,
            self.item_weights,
            shape[::-1],
            check_invariants=False,
        )
        return by_user, by_item

    def smooth(self, users: Tensor, items: Tensor, layers: int) -> Tables:
        """The mean over l = 0..L of A^l x, differentiable in both tables of x."""
        smoothed: Tables = _Smooth.apply(users, items, self, layers)
        return smoothed


class _Smooth(torch.autograd.Function):
    """x -> P x with P = (1 + A + ... + A^L) / (L + 1); A is symmetric, so the gradient is P g."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, graph: ClickGraph, layers: int) -> Tables:
        ctx.graph, ctx.layers = graph, layers
        by_user, by_item = graph.matrices()
        # By Horner's rule, x + A (x + A (...)): one fused product a layer and no running sum. CPUs
        # have no sparse product in bfloat16, so autocast stays out.
        p, q = users, items
        with torch.autocast(users.device.type, enabled=False):
            for _ in range(layers):
                p, q = torch.addmm(users, by_user, q), torch.addmm(items, by_item, p)
        return p / (layers + 1), q / (layers + 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        users, items = ctx.graph.smooth(*grads, ctx.layers)
        return users, items, None, None


@RECOMMENDERS.register("lightgcn_id")
class LightGcn(Recommender):
    """ID factors smoothed over the graph of train clicks: s(u, i) = <e_u, e_i>. No content.

    e = 1 / (L + 1) sum_l A^l e^(0) over l = 0..L, A = D^-1/2 [[0, R], [R^T, 0]] D^-1/2, with R the
    train clicks and D the degrees. Neither weights nor nonlinearities nor biases: only e^(0) is
    learned, from Xavier-uniform values. Users and items without a train click keep e^(0) / (L + 1).

    Options:
        layers: L, how far factors spread; 0 is matrix factorisation
        l2: weight of the squared rows of e^(0) that a step touches, l2 / (2 B) times their sum (the
            paper's lambda, there 1e-4)

    Source: He et al. 2020, LightGCN: simplifying and powering graph convolution network for
    recommendation.
    """

    space: ClassVar[Spaces] = {
        "layers": Range(low=1, high=4),
        "l2": Range(low=1e-4, high=1e-1, log=True),
    }

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        layers: NonNegativeInt = 2,
        l2: NonNegativeFloat = 1e-2,
    ) -> None:
        super().__init__(context, fusion)
        self.layers, self.l2 = layers, l2
        self.graph = ClickGraph(context.clicks)
        self.users = nn.Embedding(self.n_users, context.dim)
        self.items = nn.Embedding(self.n_items, context.dim)
        nn.init.xavier_uniform_(self.users.weight)
        nn.init.xavier_uniform_(self.items.weight)

    def smoothed(self) -> Tables:
        """e of all users (U, E) and all items (N, E), from the parameters as they stand now."""
        return self.graph.smooth(self.users.weight, self.items.weight, self.layers)

    def user_factors(self, users: Tensor) -> Tensor | None:
        """e_u; smooths the whole graph, so ask for many users at once."""
        return take_rows(self.smoothed()[0], users)

    def item_factors(self, items: Tensor) -> Tensor | None:
        """e_i; smooths the whole graph, so ask for many items at once."""
        return take_rows(self.smoothed()[1], items)

    def penalty(self, touched: Touched) -> Tensor:
        """The L2 penalty on e^(0)."""
        batch = touched.batch
        users = take_rows(self.users.weight, batch.users)
        items = take_rows(self.items.weight, batch.candidates)
        size = squared_size(users) + squared_size(items)
        return self.l2 / (2 * len(batch.users)) * size

    def id_rows(self, batch: Batch) -> IdRows | None:
        """Both sides of the product from one pass over the graph."""
        users, items = self.smoothed()
        return IdRows(take_rows(users, batch.users), take_rows(items, batch.candidates))

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores from tables smoothed once, when the ranker is made."""
        with torch.no_grad():
            return TableRanker(self, None, *self.smoothed())
