"""Features with noise."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fusionlab.data.augmentation.contract import AUGMENTATIONS, Augmentation, Sample, no_vectors
from fusionlab.data.features import FeatureSpec


@AUGMENTATIONS.register("feature_noise")
class FeatureNoise(Augmentation):
    """x + sigma r e,  e ~ N(0, 1) an entry,  r: root mean square of the entries in the batch

    Options:
        sigma: size of the noise beside that of the features

    Source: Bishop 1995, Training with noise is equivalent to Tikhonov regularization.
    """

    def __init__(self, *, sigma: NonNegativeFloat = 0.1) -> None:
        self.sigma = sigma

    @classmethod
    def unfit(cls, spec: FeatureSpec | None, sample: Sample | None) -> str:
        """Ids have no noise."""
        return no_vectors(spec)

    def features(
        self, values: Tensor, mask: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Other values under the same mask."""
        there = torch.where(mask[..., None], values.detach(), 0).float()
        count = (mask.sum() * values.shape[2]).clamp(min=1)
        size = (there.square().sum() / count).sqrt()
        noise = torch.randn(values.shape, generator=generator, device=values.device)
        return values + (self.sigma * size * noise).to(values.dtype), mask
