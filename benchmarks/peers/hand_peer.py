"""A start by hand: what a careful user's own script does up to its first step of VBPR.

Nothing of the framework is imported. The same files are read, features are centred and scaled as a
run's are, an epoch of negatives is drawn, and one step of the same model is taken. What a run does
beside it (checks, fingerprints of the data, a record that can be found again) is not in it.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from peer_case import BATCH, DIM, Case
from torch import Tensor, nn

L2 = 1e-2
MODALITIES = "image", "text"


class Vbpr(nn.Module):
    """<t_u, W x_i + c> + <p_u, q_i> + b_i; He and McAuley 2016."""

    def __init__(self, users: int, items: int, width: int) -> None:
        super().__init__()
        self.tastes, self.users = nn.Embedding(users, DIM), nn.Embedding(users, DIM)
        self.items, self.bias = nn.Embedding(items, DIM), nn.Parameter(torch.zeros(items))
        self.fuse = nn.Linear(width, DIM)
        for table in (self.tastes, self.users, self.items):
            nn.init.normal_(table.weight, std=0.01)

    def loss(self, users: Tensor, pairs: Tensor, features: Tensor) -> Tensor:
        """BPR of pairs (B, 2), the clicked item first, with a penalty on the rows it touches."""
        distinct, at = pairs.unique(return_inverse=True)
        views = F.embedding(at, self.fuse(features[distinct]))
        tastes, p, q = self.tastes(users), self.users(users), self.items(pairs)
        scores = (views * tastes[:, None]).sum(2) + (q * p[:, None]).sum(2) + self.bias[pairs]
        size = sum(x.square().sum() for x in (tastes, views, p, q))
        return F.softplus(scores[:, 1] - scores[:, 0]).mean() + L2 / (2 * len(users)) * size


def start(case: Case, adamw: type[torch.optim.AdamW] = torch.optim.AdamW) -> None:
    """Read, prepare, build, and take one step."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    clicks = pl.read_csv(case.path / f"{case.name}.inter", separator="\t")
    n_users, n_items = (int(clicks[key].to_torch().max()) + 1 for key in ("userID", "itemID"))
    train = clicks.filter(pl.col("x_label") == 0).sort("userID", "itemID")
    users, items = (train[key].to_torch() for key in ("userID", "itemID"))
    features = torch.cat([_scaled(case, name, items.unique()) for name in MODALITIES], 1)
    pairs = torch.stack([items, _negatives(users, items, n_items)], 1)
    model = Vbpr(n_users, n_items, features.shape[1])
    optimizer = adamw(model.parameters(), lr=1e-3, weight_decay=0, fused=True)
    for rows in torch.randperm(len(users)).split(BATCH):
        optimizer.zero_grad(set_to_none=True)
        model.loss(users[rows], pairs[rows], features).backward()
        optimizer.step()


def _scaled(case: Case, modality: str, items: Tensor) -> Tensor:
    """Columns centred, the whole modality divided by the root of its mean variance."""
    x = torch.from_numpy(np.load(case.path / f"{modality}_feat.npy"))
    variance, mean = torch.var_mean(x[items], 0, correction=0)
    return x.sub_(mean).div_(variance.mean().sqrt())


def _negatives(users: Tensor, items: Tensor, n_items: int) -> Tensor:
    """One a click, drawn anew where the user clicked it; clicks are sorted."""
    known = users * n_items + items
    drawn, left = torch.randint(n_items, users.shape), torch.arange(len(users))
    while len(left):
        wanted = users[left] * n_items + drawn[left]
        at = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
        left = left[known[at] == wanted]
        drawn[left] = torch.randint(n_items, left.shape)
    return drawn
