"""Full ranking and its metrics as a careful user of PyTorch would write them, beside `by_hand`."""

import torch
from shapes import HELD_OUT, ITEMS, USERS, clicks


def evaluation(users, items, splits=None, cutoffs=(10, 20)):
    """Recall and NDCG by full ranking: a call that ranks each user once for all splits.

    ``users()`` are (U, E) and ``items()`` (E, N), read anew by each call.
    """
    splits = splits or {"valid": clicks(HELD_OUT, 1), "test": clicks(HELD_OUT, 2)}
    some = torch.stack([c.counts > 0 for c in splits.values()]).any(0).nonzero()[:, 0]
    blocks = [(rows, *_clicked(rows)) for rows in some.split(256)]
    positives = {
        name: (torch.cat([c.users * ITEMS + c.by_item, torch.tensor([USERS * ITEMS])]), c.counts)
        for name, c in splits.items()
    }
    discount = 1 / torch.arange(2, max(cutoffs) + 2).double().log2()

    @torch.no_grad()
    def judge():
        table, matrix = users(), items()
        lists = torch.empty(len(some), max(cutoffs), dtype=torch.long)
        scores, start = torch.empty(256, ITEMS), 0
        for rows, at, seen in blocks:
            part = torch.mm(table[rows], matrix, out=scores[: len(rows)])
            part[at, seen] = -torch.inf
            lists[start : start + len(rows)] = part.topk(max(cutoffs)).indices
            start += len(rows)
        keys = some[:, None] * ITEMS + lists
        return {
            f"{name}.{metric}@{k}": value
            for name, (known, counts) in positives.items()
            for k in cutoffs
            for metric, value in _measure(keys, known, counts[some], discount, k).items()
        }

    return judge


def metrics(lists, cutoffs=(10, 20)):
    """A call that measures Recall and NDCG of lists (U, K) against the test clicks."""
    held_out = clicks(HELD_OUT, 2)
    known = torch.cat([held_out.users * ITEMS + held_out.by_item, torch.tensor([USERS * ITEMS])])
    discount = 1 / torch.arange(2, max(cutoffs) + 2).double().log2()
    keys = torch.arange(USERS)[:, None] * ITEMS + lists
    return lambda: {
        f"{metric}@{k}": value
        for k in cutoffs
        for metric, value in _measure(keys, known, held_out.counts, discount, k).items()
    }


def _measure(keys, known, counts, discount, k):
    hits = (known[torch.searchsorted(known, keys[:, :k].contiguous())] == keys[:, :k])[counts > 0]
    counts = counts[counts > 0]
    ideal = discount.cumsum(0)[counts.clamp(max=k) - 1]
    recall = (hits.sum(1) / counts).mean()
    return {"recall": float(recall), "ndcg": float(((hits * discount[:k]).sum(1) / ideal).mean())}


def _clicked(rows):
    """Train clicks of a block of users: rows within the block, and items."""
    counts, starts = clicks().counts[rows], clicks().indptr[rows]
    at = torch.repeat_interleave(torch.arange(len(rows)), counts)
    within = torch.arange(len(at)) - (counts.cumsum(0) - counts)[at]
    return at, clicks().items[starts[at] + within]
