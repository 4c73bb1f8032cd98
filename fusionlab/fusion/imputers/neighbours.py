"""What the most similar train items have, in place of what is missing."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.imputers.contract import IMPUTERS, Features, Imputer
from fusionlab.fusion.layers import pool_tokens

BLOCK = 2048
"""Items compared with the bank at a time: 32 MB of similarities with a bank of 4096."""
ITSELF = 0.999
"""From this similarity on the nearest is taken for the item itself, or a copy of it."""


@IMPUTERS.register("neighbours")
class Neighbours(Imputer):
    """The mean over the k nearest of a bank of train items that have the modality.

    s_ij = mean_n cos(x_in, x_jn) over the modalities n that both items have, a modality's tokens
    averaged. An item that shares nothing with any item of the bank gets nothing. Items of the bank
    are judged too, so the nearest does not count where s_ij > .999: that is the item itself, and
    would give away what is missing. (Under noise it is not recognised.)

    Options:
        k: how many neighbours are averaged
        bank: at most so many train items, drawn at random, are compared with; they are part of the
            saved model
    """

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        *,
        k: PositiveInt = 10,
        bank: PositiveInt = 4096,
    ) -> None:
        super().__init__(specs)
        self.k, self.size = k, bank
        self.bank = ByName({name: Features(spec) for name, spec in self.specs.items()})

    def fit(self, items: ItemFeatures) -> None:
        """Draw the bank: the same items whatever the run's seed."""
        draw = torch.randperm(len(items), generator=torch.Generator().manual_seed(0))
        drawn = items.take(draw[: self.size].to(next(iter(items.mask.values())).device))
        for name, held in self.bank.items():
            held.hold(drawn.values[name], drawn.mask[name])

    @torch.no_grad()
    def guess(self, modality: str, items: ItemFeatures, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Means of the neighbours' tokens, each over those neighbours that have it."""
        held, parts = self.bank[modality], [*rows.split(BLOCK)]
        found = [self._among(held, self._similarities(items.take(part))) for part in parts]
        return torch.cat([x for x, _ in found]), torch.cat([on for _, on in found])

    def _similarities(self, items: ItemFeatures) -> Tensor:
        """s_ij of n items and the bank (n, J); minus infinity where they share no modality."""
        total, count = torch.zeros(()), torch.zeros(())
        for name, held in self.bank.items():
            if name in items.values:
                x = F.normalize(pool_tokens(items.values[name], items.mask[name]).float(), dim=1)
                y = F.normalize(pool_tokens(held.values, held.mask).float(), dim=1)
                both = items.present(name)[:, None] & held.mask.any(1)
                total, count = total + x @ y.T, count + both.float()
        return (total / count.clamp(min=1)).masked_fill(count == 0, -torch.inf)

    def _among(self, held: Features, similar: Tensor) -> tuple[Tensor, Tensor]:
        """The mean (n, T, d) over the k of the bank that are nearest by ``similar`` (n, J)."""
        similar = similar.masked_fill(~held.mask.any(1), -torch.inf)
        near, places = similar.topk(min(self.k + 1, similar.shape[1]), dim=1)
        counted = near > -torch.inf
        counted[:, 0] &= near[:, 0] < ITSELF
        counted[:, self.k :] &= ~counted[:, :1]  # one more only in place of the item itself
        total = similar.new_zeros(len(similar), *held.values.shape[1:])
        times = similar.new_zeros(len(similar), held.mask.shape[1])
        for place, counts in zip(places.unbind(1), counted.unbind(1), strict=True):
            total += held.values[place] * counts[:, None, None]
            times += held.mask[place] * counts[:, None]
        return total / times.clamp(min=1)[..., None], times > 0
