"""Users for whom every item has the same score: their lists are drawn, for no order is skill."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.evaluation.ranking import Block, first_k
from fusionlab.recommenders.random import uniform_scores

SEED = 2**31
"""Of what is drawn. Runs have small seeds, so nobody gets the list that `random` draws."""

COLUMNS, ROWS = 32, 32
"""Scores of each user that are looked at first, and users whose lists are drawn at a time."""


def all_tied(block: Block, best: Tensor) -> Tensor:
    """Rows (t,) of a block's users whose candidates all have one score, ``best`` (b, 1).

    The first few items rule out nearly everyone else, so hardly any row is read.
    """

    def alike(scores: Tensor, best: Tensor) -> Tensor:
        return ((scores == best) | (scores == -torch.inf)).all(1)

    rows = alike(block.scores[:, :COLUMNS], best).nonzero()[:, 0]
    rows = rows[best[rows, 0] > -torch.inf]
    return rows[alike(block.scores.index_select(0, rows), best[rows])] if len(rows) else rows


def fair_k(block: Block, k: int, people: Tensor) -> tuple[Tensor, Tensor]:
    """Items (b, k) as of `first_k`, and for whom they are drawn (b,) bool: where all candidates of
    a user tie, the catalogue's order must not decide.

    What is drawn depends on the user, named by ``people`` (b,), and on nothing else: it is the same
    in every run.
    """
    items, best = first_k(block, k)
    tied = torch.zeros(len(items), dtype=torch.bool, device=items.device)
    if k == 0:
        return items, tied
    rows = all_tied(block, best[:, :1])
    if not len(rows):  # nearly always; `split` makes one part of nothing
        return items, tied
    tied[rows] = True
    for some in rows.split(ROWS):
        drawn = uniform_scores(people[some], block.scores.shape[1], SEED)
        drawn[block.scores[some] == -torch.inf] = -torch.inf
        items[some] = first_k(Block(block.rows, people[some], drawn), k)[0]
    return items, tied
