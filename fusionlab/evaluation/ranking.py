"""The best k items of each user, exactly: masked, and with ties always broken the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError, NotANumberError

Scores = Callable[[Tensor], Tensor]
"""Users (b,) int64 to floating scores (b, N), a buffer that its receiver may overwrite."""

NOTHING = -1
"""Stands in a list in place of an item when a user has fewer than k candidates."""

LEAST_USERS, MOST_USERS, MOST_SCORES = 64, 256, 2**25
"""How many users a block has: no more than fit into the last (128 MB of float32; twice as many took
a third longer a score), but of a large catalogue at least the first, since every block reads all
items' vectors once: scores of 16 users at a time took twice as long as of 64."""

GROUP = 16
"""Columns that are looked at together, by their largest score, when the best are looked for."""


@dataclass(frozen=True)
class Block:
    """Scores (b, N) of the users that stand at ``rows`` of those asked for; -inf: no candidate."""

    rows: slice
    users: Tensor
    scores: Tensor


def top_k(
    scores: Scores,
    exclude: Clicks,
    users: Tensor,
    k: int,
    *,
    block: int | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """The k best items of each user, best first, over the whole catalogue.

    Items in ``exclude`` and items whose score is -inf are never candidates. Of equal scores the
    lower item row comes first, whatever the block size, the number of threads or the device.

    Args:
        scores: users (b,) on ``device`` to scores (b, N); what it returns may be overwritten.
        exclude: items that are not recommended, as a rule the train clicks.
        users: (U,) rows of ``exclude``, in any order.
        k: the length of the lists.
        block: b, users scored at a time; default: `block_of` the catalogue's size.
        device: where scores are computed and ranked.

    Returns:
        items (U, k) int64 and their scores (U, k), both on the CPU; a list shorter than k ends in
        `NOTHING` (-1) with score -inf.

    Raises:
        FusionlabError: scores of a wrong shape or type, or NaN (names the user's row).
    """
    items = torch.full((len(users), k), NOTHING)
    values: Tensor | None = None
    for part in score_blocks(scores, exclude, users, block=block, device=device):
        best, best_scores = first_k(part, k)
        if values is None:
            values = torch.empty(items.shape, dtype=best_scores.dtype)
        items[part.rows] = best.cpu()
        values[part.rows] = best_scores.cpu()
    return items, torch.empty(items.shape) if values is None else values


def block_of(n_items: int) -> int:
    """How many users to score at a time over ``n_items`` items."""
    return min(MOST_USERS, max(LEAST_USERS, MOST_SCORES // n_items))


@torch.no_grad()
def score_blocks(
    scores: Scores,
    exclude: Clicks,
    users: Tensor,
    *,
    block: int | None = None,
    device: torch.device | str,
) -> Iterator[Block]:
    """Score ``users`` (U,) block by block, with -inf in place of the items in ``exclude``."""
    masked_rows, masked_items = clicks_of(exclude, users)
    positions = (masked_rows * exclude.n_items + masked_items).to(device)
    ends = [0, *exclude.counts[users].cumsum(0).tolist()]
    block = block or block_of(exclude.n_items)
    for start in range(0, len(users), block):
        rows = slice(start, min(start + block, len(users)))
        chosen = users[rows].to(device)
        values = _checked(scores(chosen).detach(), chosen, exclude.n_items)
        masked = positions[ends[rows.start] : ends[rows.stop]] - rows.start * exclude.n_items
        values.view(-1)[masked] = -torch.inf
        yield Block(rows, chosen, values)


def first_k(block: Block, k: int) -> tuple[Tensor, Tensor]:
    """Items (b, k) and scores (b, k) of a block's k best candidates, padded as in `top_k`.

    `topk` orders equal scores as it likes, so its word is taken only for users no two of whose
    k + 1 best are equal.
    """
    scores, found = block.scores, min(k, block.scores.shape[1])
    values, items = _largest(scores, min(k + 1, scores.shape[1]))
    _reject_nan(values[:, :1], block.users)  # NaN comes first
    tied = (values[:, 1:] == values[:, :-1]).any(1).nonzero()[:, 0]
    items, values = items[:, :found], values[:, :found]
    if len(tied):
        again = scores.index_select(0, tied)
        upwards = _at_least(again, values[tied, -1:], found)
        order = again.gather(1, upwards).argsort(dim=1, descending=True, stable=True)
        items[tied] = upwards.gather(1, order)
    missing = (0, k - found)
    return (
        torch.nn.functional.pad(items.where(values > -torch.inf, NOTHING), missing, value=NOTHING),
        torch.nn.functional.pad(values, missing, value=-torch.inf),
    )


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values (b, k) of each row and their columns (b, k), as `topk` has them.

    `topk` copies what it ranks. So columns are grouped, and only those of the k groups with the
    largest maxima are ranked: k values are at least as large as any in another group. A group is
    every n-th column, so that maxima are taken of whole vectors at a time.
    """
    n = scores.shape[1] // GROUP
    if n <= 8 * k:
        return scores.topk(k, dim=1)
    maxima = scores[:, : n * GROUP].unflatten(1, (GROUP, n)).amax(1)
    members, end = torch.arange(0, n * GROUP, n, device=scores.device), scores.shape[1]
    chosen = _largest(maxima, k)[1][:, None] + members[:, None]
    rest = torch.arange(n * GROUP, end, device=scores.device).expand(len(scores), -1)
    columns = torch.cat([chosen.flatten(1), rest], dim=1)
    values, best = scores.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, best)


def _at_least(values: Tensor, bound: Tensor, k: int) -> Tensor:
    """Columns (b, k), upwards, of what is at least each row's k-th largest value ``bound`` (b, 1);
    of values equal to it the lower columns."""
    if k == 0:
        return torch.empty(len(values), 0, dtype=torch.int64, device=values.device)
    chosen = _true_at(values >= bound)
    if len(chosen) > k * len(values):
        above, equal = values > bound, values == bound
        room = k - above.sum(1, keepdim=True)
        chosen = _true_at(above | (equal & (equal.cumsum(1, dtype=torch.int32) <= room)))
    return chosen.view(-1, k) % values.shape[1]


def _true_at(mask: Tensor) -> Tensor:
    """Flat positions of what is true; NumPy passes quickly over a mask that is mostly false."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def clicks_of(clicks: Clicks, users: Tensor) -> tuple[Tensor, Tensor]:
    """The clicks of ``users`` (U,), user after user: rows of ``users`` (P,) and items (P,)."""
    counts = clicks.counts[users]
    rows = torch.repeat_interleave(torch.arange(len(users)), counts)
    skipped = clicks.indptr[users] - (counts.cumsum(0) - counts)
    return rows, clicks.items[torch.arange(len(rows)) + skipped[rows]]


def _checked(scores: Tensor, users: Tensor, n_items: int) -> Tensor:
    expected = (len(users), n_items)
    if tuple(scores.shape) != expected or not scores.is_floating_point():
        raise FusionlabError(
            f"scores: found {tuple(scores.shape)} of {scores.dtype}, expected floating-point "
            f"{expected}: one row a user, one column an item"
        )
    if len(users) == 1 or not scores.is_contiguous():
        # One row repeated for all users (popularity) is a view: masking must not write into it.
        return scores.clone(memory_format=torch.contiguous_format)
    return scores


def _reject_nan(best: Tensor, users: Tensor) -> None:
    rows = best.isnan().any(dim=1)
    if rows.any():
        bad = users[rows].tolist()
        raise NotANumberError(
            f"scores: found NaN in the scores of user row {bad[0]} "
            f"(and of {len(bad) - 1} more in its block), expected numbers: has training diverged?"
        )
