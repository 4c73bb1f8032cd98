"""An epoch of recommenders on IDs: the framework beside loops written by hand."""

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from shapes import BATCH, HELD_OUT, ITEMS, USERS, clicks

from fusionlab.config import Judging, Runtime, Training
from fusionlab.data.interactions import Interactions, Sealed
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask
from fusionlab.training.sampling import NegativeSampler

DIM = 64


def framework_epoch(recommender):
    valid, test = clicks(HELD_OUT, 1), clicks(HELD_OUT, 2)
    ids = pl.Series(map(str, range(USERS)))
    interactions = Interactions(ids, clicks(), valid, Sealed("test interactions", test))
    model = RECOMMENDERS.parse(recommender).build(Context(clicks(), DIM), None)
    training = validate(Training, {"batch_size": BATCH})
    task = RankingTask(model, interactions, None, training, Judging(), "ndcg@20", "cpu")
    task.prepare()
    return Loop(task, training, Runtime(), seed=0).train_epoch


@pytest.mark.benchmark(group="an epoch of BPR")
def test_framework(benchmark):
    benchmark.pedantic(framework_epoch("bpr_mf"), rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="an epoch of BPR")
def test_by_hand(benchmark):
    users, items = torch.nn.Embedding(USERS, DIM), torch.nn.Embedding(ITEMS, DIM)
    bias = torch.nn.Embedding(ITEMS, 1)
    tables = [users.weight, items.weight, bias.weight]
    optimizer = torch.optim.AdamW(tables, lr=1e-3, weight_decay=0, fused=True)
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    all_users, all_items = clicks().users, clicks().items

    def epoch():
        negatives = sampler.draw(all_users, 1, generator)[:, 0]
        for rows in torch.randperm(len(all_users), generator=generator).split(BATCH):
            u, i, j = all_users[rows], all_items[rows], negatives[rows]
            p, q_i, q_j = users(u), items(i), items(j)
            margin = (p * (q_i - q_j)).sum(1) + (bias(i) - bias(j))[:, 0]
            l2 = p.square().sum() + q_i.square().sum() + q_j.square().sum()
            loss = F.softplus(-margin).mean() + 1e-2 / (2 * len(u)) * l2
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    benchmark.pedantic(epoch, rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="an epoch of LightGCN-2")
def test_lightgcn_framework(benchmark):
    benchmark.pedantic(framework_epoch("lightgcn_id"), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="an epoch of LightGCN-2")
def test_lightgcn_by_hand(benchmark):
    graph = symmetric_graph()
    table = torch.nn.init.xavier_uniform_(torch.empty(USERS + ITEMS, DIM)).requires_grad_()
    optimizer = torch.optim.AdamW([table], lr=1e-3, weight_decay=0, fused=True)
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    all_users, all_items = clicks().users, clicks().items + USERS

    def epoch():
        negatives = sampler.draw(all_users, 1, generator)[:, 0] + USERS
        for rows in torch.randperm(len(all_users), generator=generator).split(BATCH):
            u, i, j = all_users[rows], all_items[rows], negatives[rows]
            first = Product.apply(table, graph)
            smooth = (table + first + Product.apply(first, graph)) / 3
            e_u, e_i, e_j = (F.embedding(at, smooth) for at in (u, i, j))
            l2 = sum(F.embedding(at, table).square().sum() for at in (u, i, j))
            margin = (e_u * (e_i - e_j)).sum(1)
            loss = F.softplus(-margin).mean() + 1e-2 / (2 * len(u)) * l2
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    benchmark.pedantic(epoch, rounds=5, warmup_rounds=1)


def symmetric_graph():
    """D^-1/2 A D^-1/2 of the clicks over users, then items, as one CSR matrix."""
    n, users, items = USERS + ITEMS, clicks().users, clicks().items + USERS
    edges = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    scale = torch.bincount(edges[0], minlength=n).float().rsqrt()
    weights = scale[edges[0]] * scale[edges[1]]
    return torch.sparse_coo_tensor(edges, weights, (n, n), check_invariants=False).to_sparse_csr()


class Product(torch.autograd.Function):
    """A x for a symmetric A, whose gradient is A g."""

    @staticmethod
    def forward(ctx, x, matrix):
        ctx.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(ctx, grad):
        return ctx.matrix @ grad, None
