"""Full-ranking evaluation in plain loops: slow, obvious, and what the fast one must equal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.ties import SEED
from fusionlab.recommenders.random import uniform_scores


@dataclass(frozen=True)
class Problem:
    """Scores (U, N) with many ties, excluded clicks and positives that may overlap them."""

    table: Tensor
    exclude: Clicks
    relevant: dict[str, Clicks]

    def scores(self, users: Tensor) -> Tensor:
        return self.table[users]


def clicks(rows: list[list[int]], n_items: int) -> Clicks:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int64)
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    return Clicks.from_pairs(users, items, len(rows), n_items)


def draw(
    seed: int,
    n_users: int,
    n_items: int,
    *,
    levels: int = 4,
    busy: float = 0.2,
    overlap: bool = True,
) -> Problem:
    """A random problem. ``levels``: distinct scores; ``busy``: at most this share is clicked."""
    rng = np.random.default_rng(seed)
    most = max(1, int(busy * n_items))
    train = [_some(rng, np.arange(n_items), rng.integers(0, most + 1)) for _ in range(n_users)]
    relevant = {}
    for split in ("valid", "test"):
        rows = []
        for seen in train:
            free = np.arange(n_items) if overlap else np.setdiff1d(np.arange(n_items), seen)
            rows.append(_some(rng, free, rng.integers(0, most + 1)))
        rows[int(rng.integers(n_users))] = [int(rng.integers(n_items))]
        relevant[split] = clicks(rows, n_items)
    table = torch.from_numpy(rng.integers(0, levels, size=(n_users, n_items)) / levels - 0.5)
    return Problem(table.float(), clicks(train, n_items), relevant)


def _some(rng: np.random.Generator, among: np.ndarray, size: int) -> list[int]:
    return rng.permutation(among)[:size].tolist()


def row(clicks: Clicks, user: int) -> list[int]:
    return clicks.items[clicks.indptr[user] : clicks.indptr[user + 1]].tolist()


def ranked(problem: Problem, user: int) -> list[int]:
    """All candidates, best first, the lower item row first among equals."""
    excluded = set(row(problem.exclude, user))
    scores = problem.table[user].tolist()
    candidates = [i for i in range(len(scores)) if i not in excluded and scores[i] > -math.inf]
    return sorted(candidates, key=lambda i: (-scores[i], i))


def listed(problem: Problem, user: int) -> list[int]:
    """The same, but in a drawn order where all candidates are equal."""
    items, scores = ranked(problem, user), problem.table[user]
    if len({float(scores[item]) for item in items}) > 1:
        return items
    drawn = uniform_scores(torch.tensor([user]), len(scores), SEED)[0].tolist()
    return sorted(items, key=lambda item: (-drawn[item], item))


def per_user(problem: Problem, split: str, user: int, k: int) -> dict[str, float]:
    shown = listed(problem, user)[:k]
    wanted = set(row(problem.relevant[split], user))
    hits = [item in wanted for item in shown]
    recall, precision = sum(hits) / len(wanted), sum(hits) / k
    first = next((rank for rank, hit in enumerate(hits, 1) if hit), None)
    gained = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(hits, 1) if hit)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(wanted), k) + 1))
    at_hits = [sum(hits[:rank]) / rank for rank, hit in enumerate(hits, 1) if hit]
    return {
        "recall": recall,
        "precision": precision,
        "f1": 2 * precision * recall / (precision + recall) if any(hits) else 0.0,
        "ndcg": gained / ideal,
        "mrr": 1 / first if first else 0.0,
        "map": sum(at_hits) / min(len(wanted), k),
        "hit_rate": float(any(hits)),
    }


def auc(problem: Problem, split: str, user: int) -> float:
    candidates = ranked(problem, user)
    wanted = row(problem.relevant[split], user)
    scores = problem.table[user].tolist()
    negatives = [i for i in candidates if i not in wanted]
    if not negatives:
        return 0.5
    won = 0.0
    for positive in set(wanted) & set(candidates):
        for negative in negatives:
            won += 1.0 if scores[positive] > scores[negative] else 0.0
            won += 0.5 if scores[positive] == scores[negative] else 0.0
    return won / (len(wanted) * len(negatives))


def catalogue(problem: Problem, split: str, k: int) -> dict[str, float]:
    n = problem.exclude.n_items
    popularity = [0] * n
    for item in problem.exclude.items.tolist():
        popularity[item] += 1
    exposure = [0] * n
    for user in judged(problem, split):
        for item in listed(problem, user)[:k]:
            exposure[item] += 1
    shown = sum(exposure)
    apart = sum(abs(a - b) for a in exposure for b in exposure)
    bits = [-math.log2((clicked + 1) / (sum(popularity) + n)) for clicked in popularity]
    return {
        "coverage": sum(times > 0 for times in exposure) / n,
        "gini": apart / (2 * n * shown) if shown else 0.0,
        "novelty": sum(t * b for t, b in zip(exposure, bits, strict=True)) / shown
        if shown
        else 0.0,
    }


def judged(problem: Problem, split: str) -> list[int]:
    wanted = problem.relevant[split]
    return [user for user in range(wanted.n_users) if row(wanted, user)]
