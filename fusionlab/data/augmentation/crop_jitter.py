"""Pictures cropped and coloured otherwise in each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat

from fusionlab.data.augmentation.contract import (
    AUGMENTATIONS,
    Augmentation,
    Sample,
    no_trained_encoder,
)
from fusionlab.data.features import FeatureSpec

IMAGE = "image"
"""The pixels of a prepared picture, uint8 (C, H, W)."""


@AUGMENTATIONS.register("crop_jitter")
class CropJitter(Augmentation):
    """A random part of the picture at its full size, brighter or darker, with more or less colour

    A rectangle of a share in [scale, 1] of the area and of sides 3:4 to 4:3 is resized to the size
    that the encoder reads. Then, in random order, brightness, contrast and saturation are
    multiplied by factors in [1 - j, 1 + j].

    It changes what was prepared for a trained encoder (resized, cropped, bytes), not the file.

    Options:
        scale: the smallest share of the picture that is kept
        brightness: j, of how light it is
        contrast: likewise
        saturation: likewise; nothing happens to grey pictures

    Source: Szegedy et al. 2015, Going deeper with convolutions (crops); Howard 2014, Some
        improvements on deep convolutional neural network based image classification (colours); by
        torchvision.
    """

    def __init__(
        self,
        *,
        scale: Annotated[float, Field(gt=0, le=1)] = 0.5,
        brightness: NonNegativeFloat = 0.2,
        contrast: NonNegativeFloat = 0.2,
        saturation: NonNegativeFloat = 0.2,
    ) -> None:
        self.scale, self.jitter = scale, (brightness, contrast, saturation)

    @classmethod
    def unfit(cls, spec: FeatureSpec | None, sample: Sample | None) -> str:
        """Only pixels can be cropped."""
        if sample is None:
            return no_trained_encoder("pictures")
        return "" if IMAGE in sample else "which changes pictures; expected an encoder of pictures"

    def sample(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Other pixels of the same shape."""
        from torchvision.transforms import v2

        picture = sample[IMAGE]
        size = (picture.shape[-2], picture.shape[-1])
        crop = v2.RandomResizedCrop(size, scale=(self.scale, 1.0), antialias=True)
        jitter = v2.ColorJitter(*self.jitter)
        with drawn_from(generator):
            return {**sample, IMAGE: jitter(crop(picture))}


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """What draws from torch's own generator of the CPU draws from this one inside."""
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.get_rng_state())
        torch.set_rng_state(before)
