"""Pixels as they are: the baseline of images."""

from __future__ import annotations

from typing import Annotated

from einops import rearrange
from pydantic import Field
from torch import Tensor

from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.image.base import ImageEncoder
from fusionlab.encoders.image.steps import AS_TRAINED, ModelSteps, Steps
from fusionlab.errors import FusionlabError


@ENCODERS.register("pixels")
class Pixels(ImageEncoder):
    """The image resized to side x side, as one vector or as patches: the baseline without a model.

    x[(r side + c) C + k] = (byte of channel k at row r, column c) / 255, pooled;
    token (i, j) is the patch of rows i p to i p + p - 1, columns j p to j p + p - 1, likewise.

    Options:
        side: pixels a side
        patch: pixels a side of a token's patch, p, which divides ``side``; none: one vector
        steps: exif, background, color, resize, crop_from, interpolation, mean, std, max_pixels;
            unless given, the whole image is resized, whatever its proportions
    """

    def __init__(
        self,
        *,
        side: Annotated[int, Field(ge=1, le=1024)] = 16,
        patch: Annotated[int, Field(ge=1)] | None = None,
        steps: Steps = AS_TRAINED,
    ) -> None:
        if steps.size not in (None, side):
            raise FusionlabError(f"steps.size: found {steps.size}, expected side, {side}")
        if patch is not None and side % patch:
            raise FusionlabError(f"patch: found {patch}, expected a divisor of side, {side}")
        zero, one = ((0.0,), (1.0,)) if steps.color == "grey" else ((0.0,) * 3, (1.0,) * 3)
        own = ModelSteps(side, "exact", side, "bilinear", zero, one)
        super().__init__(steps.completed(own))
        self.patch = patch or side
        self.measure()

    def encoded(self, images: Tensor) -> Tensor:
        """Cut into patches, row by row."""
        pattern = "b c (i p) (j q) -> b (i j) (p q c)"
        return rearrange(images, pattern, p=self.patch, q=self.patch)
