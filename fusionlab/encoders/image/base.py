"""What all encoders of images share: the steps before, the pixels as numbers, the batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import torch
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.data.fingerprint import fingerprint
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.contract import Batch, Encoder, Sample
from fusionlab.encoders.image.steps import IMAGE, Preparation
from fusionlab.errors import FusionlabError

Output = Literal["pooled", "tokens"]


class ImageEncoder(Encoder):
    """An encoder of images that all have one size after the steps.

    A subclass defines `encoded` and calls `measure` when it is built.
    """

    medium = Medium.IMAGE
    prepare: Preparation
    scale: Tensor
    shift: Tensor

    def __init__(self, prepare: Preparation) -> None:
        super().__init__()
        self.prepare = prepare
        mean, std = torch.tensor(prepare.mean), torch.tensor(prepare.std)
        self.register_buffer("scale", (1 / (255 * std))[:, None, None])
        self.register_buffer("shift", (-mean / std)[:, None, None])

    def measure(self) -> None:
        """Find ``spec`` with a black image; leaves the encoder in evaluation mode.

        Raises `FusionlabError` where the model does not take images of this size.
        """
        self.eval()
        side = self.prepare.size
        black = torch.zeros(1, self.prepare.channels, side, side, dtype=torch.uint8)
        try:
            with torch.no_grad():
                _, tokens, dim = self.encoded(self.normalised({IMAGE: black})).shape
        except (AssertionError, RuntimeError, ValueError) as error:
            raise FusionlabError(
                f"steps.size: the model refuses {side} x {side}: {error}"
            ) from None
        self.spec = FeatureSpec(dim, tokens)

    def source_id(self) -> str:
        """Hash of the steps, some of which come from the model's own data configuration."""
        return fingerprint([str(sorted(asdict(self.prepare).items()))])

    def size(self, sample: Sample) -> int:
        """Every image is as much work."""
        return 1

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """uint8 (B, C, H, W)."""
        return {IMAGE: torch.stack([sample[IMAGE] for sample in samples])}

    def normalised(self, batch: Batch) -> Tensor:
        """(byte / 255 - mean) / std, channels-last (B, C, H, W).

        One grey channel becomes as many as the mean has.
        """
        pixels = batch[IMAGE].to(memory_format=torch.channels_last)
        return torch.addcmul(self.shift, pixels.to(self.scale.dtype), self.scale)

    def stages(self, raw: Raw) -> dict[str, Any]:
        """What each step makes of an image, by the name of the step, in order."""
        found = self.prepare.stages(raw)
        batch = {IMAGE: found["tensor"][None].to(self.scale.device)}
        return found | {"normalise": self.normalised(batch)[0]}

    @abstractmethod
    def encoded(self, images: Tensor) -> Tensor:
        """Features (B, T, d) of normalised images (B, C, H, W)."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, T, d); every token is on."""
        features = self.encoded(self.normalised(batch))
        return features, torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
