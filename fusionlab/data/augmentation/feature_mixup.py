"""Features of an item with a little of another one's."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor

from fusionlab.data.augmentation.contract import AUGMENTATIONS, Augmentation, Sample, no_vectors
from fusionlab.data.features import FeatureSpec


@AUGMENTATIONS.register("feature_mixup")
class FeatureMixup(Augmentation):
    """lambda x_i + (1 - lambda) x_j,  lambda = max(u, 1 - u),  u ~ Beta(alpha, alpha) an item

    j is another item of the step that has the modality: those that have it stand in a random ring,
    and j follows i in it. As lambda is at least a half, what is clicked of i, or its class, stays
    that of i. Tokens are mixed where both items have them.

    Options:
        alpha: the larger, the more is mixed; towards 0 nothing is

    Source: Zhang et al. 2018, mixup: beyond empirical risk minimization; with lambda towards the
        item itself as in Berthelot et al. 2019, MixMatch: a holistic approach to semi-supervised
        learning.
    """

    def __init__(self, *, alpha: PositiveFloat = 0.2) -> None:
        self.alpha = alpha

    @classmethod
    def unfit(cls, spec: FeatureSpec | None, sample: Sample | None) -> str:
        """Ids cannot be mixed."""
        return no_vectors(spec)

    def features(
        self, values: Tensor, mask: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Other values under the same mask."""
        there = mask.any(1).nonzero()[:, 0]
        ring = there[torch.randperm(len(there), generator=generator, device=mask.device)]
        other = torch.arange(len(mask), device=mask.device)
        other[ring] = ring.roll(-1)
        share = self._shares(len(mask), generator)[:, None, None].to(values.dtype)
        mixed = share * values + (1 - share) * values[other]
        return torch.where((mask & mask[other])[..., None], mixed, values), mask

    def _shares(self, count: int, generator: torch.Generator) -> Tensor:
        """lambda (count,): g / (g + g'), g >= g', of two Gammas of shape alpha.

        Gamma(alpha) = Gamma(alpha + 1) u^(1 / alpha), u ~ U(0, 1), and a share is the sigmoid of
        a difference of logarithms, so a small alpha makes no 0 / 0.
        """
        shape = torch.full((2, count), self.alpha + 1, device=generator.device, dtype=torch.float64)
        above = torch._standard_gamma(shape, generator=generator).log()
        uniform = 1 - torch.rand(  # of (0, 1]
            shape.shape, generator=generator, device=shape.device, dtype=shape.dtype
        )
        first, second = above + uniform.log() / self.alpha
        return (first - second).abs().sigmoid()
