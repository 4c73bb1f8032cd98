"""Train projectors to say in soft tokens what a frozen language model reads in an item's text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionlab.data.features import ItemFeatures

BATCH, RATE, TEMPERATURE = 64, 1e-3, 0.07


@torch.enable_grad()
def align(
    states: Callable[[ItemFeatures], Tensor],
    parameters: Iterable[nn.Parameter],
    items: ItemFeatures,
    texts: Sequence[str],
    epochs: int,
) -> list[float]:
    """Train what reads everything but ``texts`` to give the states that the texts give.

    z_i: the states of item i without text,  t_i: those of its text alone, by the model as it is
    loss = (CE(z T' / tau, i) + CE(t Z' / tau, i)) / 2,  both less the mean t and of length one

    T and Z are those of a batch; items of equal text are no negatives of each other. Items need a
    text and something else.

    Args:
        states: what is read out of the model, (B, E) of B items.
        parameters: what is trained.
        items: features of train items.
        texts: the modalities that are text.
        epochs: passes over the items.

    Returns the mean loss of each epoch.

    Source: InfoNCE: van den Oord et al. 2018, Representation learning with contrastive predictive
        coding; both ways as in Radford et al. 2021, CLIP. Aligning a projector before it is used:
        Liu et al. 2023, Visual instruction tuning.
    """
    others = [name for name in items.modalities if name not in texts]
    both = _any(items, texts) & _any(items, others)
    items = items.take(both.nonzero()[:, 0])
    if len(items) < 2:
        return []
    bare, said = items.without_columns(texts), items.without_columns(others)
    with torch.no_grad():
        targets = states(said).float()
    middle = targets.mean(0)
    targets = F.normalize(targets - middle, dim=1)
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(items)).to(targets.device).split(BATCH):
            found = F.normalize(states(bare.take(rows)).float() - middle, dim=1)
            loss = info_nce(found, targets[rows])
            optimizer.zero_grad()
            loss.backward(inputs=parameters)  # others that the states depend on stay as they are
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(items))
    return losses


def info_nce(found: Tensor, targets: Tensor) -> Tensor:
    """The loss of `align` for rows (B, E) of length one."""
    logits = found @ targets.T / TEMPERATURE
    same = targets @ targets.T > 1 - 1e-5
    own = torch.eye(len(found), dtype=torch.bool, device=found.device)
    logits = logits.masked_fill(same & ~own, -torch.inf)
    places = torch.arange(len(found), device=found.device)
    return (F.cross_entropy(logits, places) + F.cross_entropy(logits.T, places)) / 2


def _any(items: ItemFeatures, names: Sequence[str]) -> Tensor:
    return torch.stack([items.present(name) for name in names]).any(0)
