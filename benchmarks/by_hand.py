"""Loops as a careful user of PyTorch would write them: what the framework is measured against.

Each function returns a call that trains one epoch. Maths as in the framework: BPR loss, an L2
penalty on the rows that a step touches, AdamW (fused), exact negatives.
"""

import random
from functools import partial

import torch
import torch.nn.functional as F
from judged_by_hand import evaluation
from shapes import BATCH, HELD_OUT, ITEMS, USERS, clicks, features
from torch import nn

from fusionlab.data.features import multiplied

DIM, L2 = 64, 1e-2
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def bare(call, threads=2):
    """The call without a run's deterministic algorithms, after one that had them."""

    def configured():
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        return call()

    return configured


def rejection_in_python():
    """A call that draws an epoch, user by user."""
    users = clicks().users.tolist()
    clicked = [set(row.tolist()) for row in clicks().items.split(clicks().counts.tolist())]

    def epoch():
        drawn = []
        for user in users:
            item = random.randrange(ITEMS)
            while item in clicked[user]:
                item = random.randrange(ITEMS)
            drawn.append(item)
        return drawn

    return epoch


def rejection(generator):
    """A call that draws an epoch: for all clicks at once, and anew where a click was drawn."""
    users = clicks().users
    keys = users * ITEMS + clicks().by_item

    def draw():
        items = torch.randint(ITEMS, users.shape, generator=generator)
        left = torch.arange(len(users))
        while True:
            wanted = users[left] * ITEMS + items[left]
            place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
            left = left[keys[place] == wanted]
            if not len(left):
                return items
            items[left] = torch.randint(ITEMS, left.shape, generator=generator)

    return draw


def batches(generator, draw):
    """Users (B,) and pairs (B, 2) of an epoch, in random order."""
    users = clicks().users
    pairs = torch.stack([clicks().items, draw()], 1)
    for rows in torch.randperm(len(users), generator=generator).split(BATCH):
        yield users[rows], pairs[rows]


class Epoch:
    """A pass over the clicks in random order; ``loss`` maps users (B,) and pairs (B, 2) to ().

    ``parameters`` stand under the framework's names for them, a pattern where it holds several, so
    that both can start from the same weights (`agreement`).
    """

    def __init__(self, parameters, loss, bf16=False):
        self.parameters, self.loss, self.bf16 = parameters, loss, bf16
        given = parameters.values()
        self.optimizer = torch.optim.AdamW(given, lr=1e-3, weight_decay=0, fused=True)
        self.generator = torch.Generator().manual_seed(0)
        self.draw = rejection(self.generator)

    def __call__(self):
        return self.train(batches(self.generator, self.draw))

    def train(self, steps):
        """The mean loss over steps of users and pairs."""
        losses = []
        for users, pairs in steps:
            losses.append(self.backward(users, pairs))
            self.optimizer.step()
        return float(torch.stack(losses).mean())

    def backward(self, users, pairs):
        """The loss of a step, and its gradients."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            value = self.loss(users, pairs)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        return value.detach()


def table(size):
    return nn.Parameter(torch.randn(size, DIM) * 0.01)


def rows(table, at):
    """By `index_select`: an embedding's gradient is slower, most of all that of one column."""
    return table.index_select(0, at.flatten()).view(*at.shape, *table.shape[1:])


class Factors(nn.Module):
    """p, q and b of matrix factorisation."""

    def __init__(self):
        super().__init__()
        self.users, self.items = table(USERS), table(ITEMS)
        self.bias = nn.Parameter(torch.zeros(ITEMS))

    def named(self):
        return {f"ids.{name}.weight": one for name, one in self.named_parameters()}

    def margin(self, users, pairs):
        """How far the clicked item is ahead (B,), and the squared size of the rows."""
        p, q, b = rows(self.users, users), rows(self.items, pairs), rows(self.bias, pairs)
        margin = (p * (q[:, 0] - q[:, 1])).sum(1) + b[:, 0] - b[:, 1]
        return margin, p.square().sum() + q.square().sum()


def bpr(factors=None):
    factors = factors or Factors()

    def loss(users, pairs):
        margin, size = factors.margin(users, pairs)
        return F.softplus(-margin).mean() + L2 / (2 * len(users)) * size

    return Epoch(factors.named(), loss)


class BprWithoutAutograd(Epoch):
    """The same, with its gradients written out: what the maths costs."""

    def __init__(self):
        super().__init__(Factors().requires_grad_(False).named(), None)
        for one in self.parameters.values():
            one.grad = torch.zeros_like(one)

    def backward(self, users, pairs):
        tables, flat = [*self.parameters.values()], pairs.flatten()
        p, q = tables[0][users], tables[1][flat].view(-1, 2, DIM)
        b, apart = tables[2][flat].view_as(pairs), q[:, 0] - q[:, 1]
        margin = (p * apart).sum(1) + b[:, 0] - b[:, 1]
        slope = torch.sigmoid(-margin).neg_().div_(len(users))[:, None]
        signed = torch.cat([slope, -slope], 1)
        shrink = L2 / len(users)
        for one in tables:
            one.grad.zero_()
        tables[0].grad.index_add_(0, users, (apart * slope).add_(p, alpha=shrink))
        towards = (p[:, None] * signed[..., None]).add_(q, alpha=shrink)
        tables[1].grad.index_add_(0, flat, towards.view(-1, DIM))
        tables[2].grad.index_add_(0, flat, signed.flatten())
        return F.softplus(-margin).mean() + shrink / 2 * (p.square().sum() + q.square().sum())


def vbpr(held_in, layer=nn.Linear, image=4096, text=384):
    """The hybrid with `concat`: one table, one product for the distinct items."""
    stored = torch.cat([x[:, 0] for x in features(image=image, text=text).values.values()], 1)
    fuse = layer(stored.shape[1], DIM)
    return content(held_in, [stored], fuse, {"project.*.weight": fuse.weight, "bias": fuse.bias})


def gated(held_in, layer=nn.Linear):
    """The hybrid with a gated multimodal unit of three modalities."""
    stored = {n: x[:, 0] for n, x in features(image=4096, text=384, audio=128).values.items()}
    fuse = GatedUnit({name: x.shape[1] for name, x in stored.items()}, layer)
    named = {f"project.{name}": one for name, one in fuse.project.named_parameters()}
    named |= {"gates.*.weight": fuse.gate.weight, "gate_bias": fuse.gate.bias}
    return content(held_in, stored.values(), fuse, named)


class GatedUnit(nn.Module):
    """z = softmax over the modalities of G [h_1; ...; h_M] + c, v = sum_m z_m tanh(h_m)."""

    def __init__(self, widths, layer):
        super().__init__()
        self.project = nn.ModuleDict({n: layer(width, DIM) for n, width in widths.items()})
        self.gate = layer(len(widths) * DIM, len(widths) * DIM)

    def forward(self, *modalities):
        h = torch.cat([f(x) for f, x in zip(self.project.values(), modalities, strict=True)], 1)
        z = self.gate(h).unflatten(1, (-1, DIM)).softmax(1)
        return (z * torch.tanh(h).unflatten(1, (-1, DIM))).sum(1)


def content(held_in, stored, fuse, named):
    """Tastes against fused views, beside the factors; a batch fuses its distinct items once."""
    stored = [x.to(TYPES[held_in]) for x in stored]
    types = [multiplied(x) for x in stored]  # bf16 only where the CPU multiplies it
    taken = [torch.empty_like(x[: 2 * BATCH], dtype=t) for x, t in zip(stored, types, strict=True)]
    tastes, factors = table(USERS), Factors()
    seen, place = torch.zeros(ITEMS).bool(), torch.zeros(ITEMS).long()

    def loss(users, pairs):
        seen.zero_()
        seen[pairs.flatten()] = True
        distinct = seen.nonzero()[:, 0]
        place[distinct] = torch.arange(len(distinct))
        for held, buffer in zip(stored, taken, strict=True):
            take(held, distinct, buffer[: len(distinct)])
        views = fuse(*(buffer[: len(distinct)] for buffer in taken))
        t, v = rows(tastes, users), rows(views, place[pairs])
        margin, size = factors.margin(users, pairs)
        margin = margin + (t * (v[:, 0] - v[:, 1])).sum(1)
        size = size + t.square().sum() + v.square().sum()
        return F.softplus(-margin).mean() + L2 / (2 * len(users)) * size

    parameters = {"tastes.weight": tastes, **factors.named()}
    parameters |= {f"fusion.{name}": one for name, one in named.items()}
    return Epoch(parameters, loss, bf16=torch.bfloat16 in types)


def take(table, rows, out):
    """Rows into a buffer that is used again, widened while they stand in the cache."""
    if out.dtype == table.dtype:
        torch.index_select(table, 0, rows, out=out)
        return
    for part, some in zip(out.split(64), rows.split(64), strict=True):
        part.copy_(table.index_select(0, some))


def lightgcn():
    """Two layers over one symmetric matrix by Horner's rule: x + A (x + A x), a third of it."""
    graph = symmetric_graph()
    nodes = nn.init.xavier_uniform_(torch.empty(USERS + ITEMS, DIM)).requires_grad_()

    def loss(users, pairs):
        smooth, pairs = Smooth.apply(nodes, graph), pairs + USERS
        p, q = rows(smooth, users), rows(smooth, pairs)
        size = sum(rows(nodes, at).square().sum() for at in (users, pairs))
        margin = (p * (q[:, 0] - q[:, 1])).sum(1)
        return F.softplus(-margin).mean() + L2 / (2 * len(users)) * size

    return Epoch({"*.weight": nodes}, loss)


def symmetric_graph():
    """D^-1/2 A D^-1/2 of the clicks over users, then items, as one CSR matrix."""
    n, users, items = USERS + ITEMS, clicks().users, clicks().items + USERS
    edges = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
    scale = torch.bincount(edges[0], minlength=n).float().rsqrt()
    weights = scale[edges[0]] * scale[edges[1]]
    return torch.sparse_coo_tensor(edges, weights, (n, n), check_invariants=False).to_sparse_csr()


class Smooth(torch.autograd.Function):
    """(1 + A + A^2) x / 3 for a symmetric A, whose gradient is the same of g."""

    @staticmethod
    def forward(ctx, x, matrix):
        ctx.matrix = matrix
        return torch.addmm(x, matrix, torch.addmm(x, matrix, x)).div_(3)

    @staticmethod
    def backward(ctx, grad):
        return Smooth.forward(ctx, grad, ctx.matrix), None


def whole_run(epochs):
    """Train matrix factorisation, validate after each epoch, keep the best, judge it at the end."""
    factors = Factors()
    train = bpr(factors)
    sides = partial(_users, factors), partial(_items, factors)
    validate = evaluation(*sides, {"valid": clicks(HELD_OUT, 1)})
    judge, best, state = evaluation(*sides), -1.0, {}
    for _ in range(epochs):
        train()
        found = validate()["valid.ndcg@20"]
        if found > best:
            best, state = found, {n: x.clone() for n, x in factors.state_dict().items()}
    factors.load_state_dict(state)
    return judge()


def _users(factors):
    return torch.cat([factors.users, torch.ones(USERS, 1)], 1)


def _items(factors):
    return torch.cat([factors.items, factors.bias[:, None]], 1).T.contiguous()
