"""In-batch negatives: what others of the step clicked, and what a softmax must subtract for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from fusionlab.balancing.contract import Balancer
from fusionlab.data.interactions import Clicks
from fusionlab.errors import ConfigError
from fusionlab.recommenders.step import Batch
from fusionlab.sections import Training
from fusionlab.training.losses import LOSSES, Loss


class InBatch:
    """Negatives of a click are the items of M other clicks of its step.

    They come for free, as a step needs their views anyway, but by popularity. A softmax over all
    items that the user u has not clicked, beside the clicked item c, is estimated with

    Z = exp s(u, c) + sum over drawn j of exp(s(u, j) - log(M q_j)),  q_j = n_j / (E - 1)

    where n_j are the train clicks of j and E all of them. Drawn items that u clicked (accidental
    hits) are left out. Steps are dealt from a random order of all clicks, so each of the other
    clicks of a step is any of the E - 1 that are left, and the expectation of Z is the sum over the
    items with a train click, exactly (but in a last step of one click, which has no other). The
    gradient of log Z is consistent: its bias goes as 1 / M.
    The clicked item is always there, so nothing is subtracted from its score (Yi et al. subtract
    its log q too).

    Source: Bengio and Senecal 2008, Adaptive importance sampling to accelerate training of a neural
    probabilistic language model; Yi et al. 2019, Sampling-bias-corrected neural modeling for large
    corpus item recommendations.

    Args:
        clicks: train clicks.
        users: (E,) the user of each, on the device.
        items: (E,) the item of each.
    """

    def __init__(self, clicks: Clicks, users: Tensor, items: Tensor) -> None:
        self.users, self.items, self.n_items = users, items, clicks.n_items
        self.keys = (clicks.users * clicks.n_items).add_(clicks.by_item).to(items.device)
        self.log_rates = self._log_rates(items)

    def _log_rates(self, items: Tensor) -> Tensor:
        counts = items.cpu().bincount(minlength=self.n_items)
        rates = counts.double() / max(len(items) - 1, 1)
        return rates.log().float().to(items.device)

    def batches(
        self,
        batch_size: int,
        negatives: int,
        generator: torch.Generator,
        drawn: Tensor | None = None,
    ) -> Iterator[Batch]:
        """The steps of one epoch, over all clicks or those ``drawn`` (E',); the clicked item first
        among a step's candidates."""
        count = len(self.items) if drawn is None else len(drawn)
        order = torch.randperm(count, generator=generator, device=self.items.device)
        if drawn is not None:
            order, self.log_rates = drawn[order], self._log_rates(self.items[drawn])
        for rows in order.split(batch_size):
            yield self.batch(rows, negatives, generator)

    def batch(self, rows: Tensor, count: int, generator: torch.Generator) -> Batch:
        """The step of the clicks ``rows`` (B,); M is ``count``, or B - 1 if that is less."""
        size, device = len(rows), rows.device
        users, clicked = self.users.index_select(0, rows), self.items.index_select(0, rows)
        others = 1 + torch.randperm(max(size - 1, 0), generator=generator, device=device)[:count]
        places = torch.arange(size, device=device)[:, None] + others
        drawn = clicked[places % size]
        subtracted = self.log_rates[drawn] + math.log(max(len(others), 1))
        subtracted = subtracted.masked_fill(self._clicked(users, drawn), torch.inf)
        return Batch(
            users,
            torch.cat([clicked[:, None], drawn], 1),
            rows,
            torch.cat([subtracted.new_zeros(size, 1), subtracted], 1),
        )

    def _clicked(self, users: Tensor, items: Tensor) -> Tensor:
        """Did ``users`` (B,) click ``items`` (B, M) in train? (B, M) bool."""
        keys = users[:, None] * self.n_items + items
        places = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return self.keys[places] == keys


def check_in_batch(training: Training, balancer: type[Balancer]) -> None:
    """Refuse what in-batch negatives cannot serve: other losses, pools, more than the step has, and
    a balancer that chooses the clicks of an epoch."""
    if training.sampling != "in_batch":
        return
    name, problems = training.loss.name, []
    working = ", ".join(one for one in LOSSES.names() if LOSSES[one].normalised)
    if not _loss(name).normalised:
        problems.append(
            (
                ("training", "loss"),
                f"found {name!r} beside sampling: in_batch, whose correction for popularity is "
                f"that of a softmax; expected one of: {working}",
            )
        )
    if training.pool is not None:
        problems.append(
            (
                ("training", "pool"),
                "found a number beside sampling: in_batch, which draws from the step; expected "
                "null",
            )
        )
    if training.negatives >= training.batch_size:
        problems.append(
            (
                ("training", "negatives"),
                f"found {training.negatives}, expected less than batch_size = "
                f"{training.batch_size}: in_batch draws from the other clicks of the step",
            )
        )
    if balancer.draws:
        problems.append(
            (
                ("training", "sampling"),
                f"found 'in_batch' beside the balancer {balancer.name!r}, which draws some clicks "
                "more often than others; expected uniform, or another balancer",
            )
        )
    if problems:
        raise ConfigError(problems)


def _loss(name: str) -> type[Loss]:
    found: type[Loss] = LOSSES[name]
    return found
