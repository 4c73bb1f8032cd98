"""The steps from an image file to a tensor, each configurable and each to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fusionlab.data.media import Raw
from fusionlab.encoders.contract import Sample
from fusionlab.encoders.image.reading import (
    MAX_PIXELS,
    MAX_PIXELS_ALLOWED,
    ORIENTATION,
    read_image,
)
from fusionlab.errors import FusionlabError
from fusionlab.schema import Section

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

Byte = Annotated[int, Field(ge=0, le=255)]
Color = Literal["rgb", "grey"]
Resize = Literal["shorter", "exact"]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
IMAGE = "image"
"""The tensor of a sample and of a batch."""
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What undoes each EXIF orientation."""


class ImageSteps(BaseModel):
    """Settings of the steps; what is None is as the model was trained.

    Options:
        exif: turn the picture as its EXIF orientation says
        background: red, green, blue behind what is transparent
        color: "rgb", or "grey": one channel (repeated for a model that has three)
        size: side of the square that the encoder gets, in pixels
        resize: "shorter" side to ``crop_from``, or both sides "exact"ly, whatever the proportions
        crop_from: side before the centre is cropped to ``size``; equal to ``size``: nothing but
            what sticks out is cropped
        interpolation: how pixels are resampled
        mean: of red, green, blue in 0 to 1, for normalising
        std: likewise
        max_pixels: an image with more is a decompression bomb
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    exif: bool = True
    background: tuple[Byte, Byte, Byte] = (255, 255, 255)
    color: Color = "rgb"
    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    resize: Resize | None = None
    crop_from: Annotated[int, Field(ge=1, le=8192)] | None = None
    interpolation: Interpolation | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    max_pixels: Annotated[int, Field(ge=1, le=MAX_PIXELS_ALLOWED)] = MAX_PIXELS

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What was given only: a default is short to print."""
        return [(name, getattr(self, name)) for name in sorted(self.model_fields_set)]

    @model_validator(mode="after")
    def _std_is_positive(self) -> Self:
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"expected a std above 0 in each channel, found {self.std}")
        return self

    def completed(self, model: ModelSteps) -> Preparation:
        """The steps with the model's own where none is given.

        A ``size`` without ``crop_from`` keeps the model's ratio of the two.
        """
        size = self.size or model.size
        crop_from = self.crop_from or size * model.crop_from // model.size
        if crop_from < size:
            raise FusionlabError(
                f"steps.crop_from: found {crop_from}, expected at least steps.size, {size}"
            )
        return Preparation(
            exif=self.exif,
            background=self.background,
            color=self.color,
            size=size,
            resize=self.resize or model.resize,
            crop_from=crop_from,
            interpolation=self.interpolation or model.interpolation,
            mean=self.mean or model.mean,
            std=self.std or model.std,
            max_pixels=self.max_pixels,
        )


Steps = Annotated[ImageSteps, Section(ImageSteps)]
"""The type of an encoder's option ``steps``."""
AS_TRAINED = ImageSteps()


@dataclass(frozen=True)
class ModelSteps:
    """The steps a model was trained with (see `ImageSteps`)."""

    size: int
    resize: Resize
    crop_from: int
    interpolation: Interpolation
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Preparation(ModelSteps):
    """All steps decided (see `ImageSteps`): an image in, uint8 (C, size, size) out.

    A pixel stays a byte until it is on the device, where `ImageEncoder.normalised` makes it a
    number: a quarter of the copying. Settings only, so it can be sent to other processes.
    """

    exif: bool
    background: tuple[int, int, int]
    color: Color
    max_pixels: int

    @property
    def channels(self) -> int:
        """C of what is prepared."""
        return 1 if self.color == "grey" else 3

    def __call__(self, raw: Raw) -> Sample:
        """The prepared image; raises `BadMedia`."""
        return {IMAGE: self.stages(raw)["tensor"]}

    def stages(self, raw: Raw) -> dict[str, Any]:
        """What each step makes of an image, by the name of the step, in order."""
        image: Any = read_image(raw, self.max_pixels)
        found = {"read": image}
        for name, step in self._steps():
            image = found[name] = step(image)
        return found

    def _steps(self) -> list[tuple[str, Callable[[Any], Any]]]:
        return [
            ("exif", self._upright),
            ("alpha", self._opaque),
            ("color", self._colored),
            ("resize", self._resized),
            ("tensor", _tensor),
        ]

    def _upright(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        turn = _TURNS.get(image.info[ORIENTATION]) if self.exif else None
        return image.transpose(Image.Transpose[turn]) if turn else image

    def _opaque(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        if image.mode != "RGBA":
            return image
        canvas = Image.new("RGB", image.size, self.background)
        canvas.paste(image, mask=image)
        return canvas

    def _colored(self, image: Image.Image) -> Image.Image:
        mode = "L" if self.color == "grey" else "RGB"
        return image if image.mode == mode else image.convert(mode)

    def _resized(self, image: Image.Image) -> Image.Image:
        """Resize and crop the centre at once: only pixels that the crop keeps are resampled, so
        that a strip of 1 x 60,000 does not become 256 x 15,360,000 on the way."""
        from PIL import Image

        sides = image.size
        shorter = self.resize == "shorter"
        whole = [self.crop_from * side // (min(sides) if shorter else side) for side in sides]
        starts = [round((side - self.size) / 2) for side in whole]
        ends = [start + self.size for start in starts]
        scales = [side / scaled for side, scaled in zip(sides, whole, strict=True)]
        left, upper = (start * scale for start, scale in zip(starts, scales, strict=True))
        right, lower = (
            min(end * scale, side) for end, scale, side in zip(ends, scales, sides, strict=True)
        )
        method = Image.Resampling[self.interpolation.upper()]
        return image.resize((self.size, self.size), method, box=(left, upper, right, lower))


def _tensor(image: Image.Image) -> Tensor:
    """Bytes (C, H, W)."""
    import numpy as np
    import torch
    from einops import rearrange

    pixels = np.array(image).reshape(image.height, image.width, -1)
    return torch.from_numpy(rearrange(pixels, "h w c -> c h w").copy())
