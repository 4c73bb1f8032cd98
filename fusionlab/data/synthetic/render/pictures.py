"""Codes in pixels: a shape, its colour and the texture behind it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from colorsys import hsv_to_rgb

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SIZE = 64
PERIOD = 16
SHAPES: tuple[Callable[[Floats, Floats], Floats], ...] = (
    lambda x, y: np.hypot(x, y) - 1,
    lambda x, y: np.maximum(np.minimum(abs(x), abs(y)) - 0.35, np.maximum(abs(x), abs(y)) - 1.1),
    lambda x, y: np.maximum(y, abs(x) * 0.75**0.5 - y / 2) - 0.65,
    lambda x, y: abs(np.hypot(x, y) - 0.85) - 0.25,
)
"""Disc, cross, triangle, ring: negative inside, in units of the shape's radius."""
HUES = (0.0, 0.6, 0.33, 0.15)
"""Red, blue, green, yellow."""
TEXTURES: tuple[Callable[[Floats, Floats], Floats], ...] = (
    lambda x, y: np.sin(y),
    lambda x, y: np.sin(x),
    lambda x, y: np.sin((x + y) * 0.5**0.5),
    lambda x, y: np.sin(x) * np.sin(y),
)
"""Rows, columns, diagonals, chequers."""


def picture(values: Sequence[int], rng: np.random.Generator) -> bytes:
    """A PNG, 64 x 64 in colour: the shape near the middle of a textured grey ground.

    What means nothing: place, size and tilt of the shape, its exact colour, brightness, contrast
    and phase of the ground, noise in every pixel.
    """
    from PIL import Image

    shape, hue, texture = SHAPES[values[0]], HUES[values[1]], TEXTURES[values[2]]
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    shift = rng.uniform(-2, 2, 2)
    angles = (2 * np.pi / PERIOD) * (columns + shift[0]), (2 * np.pi / PERIOD) * (rows + shift[1])
    ground = rng.uniform(100, 155) + rng.uniform(25, 40) * texture(*angles)
    centre, radius = SIZE / 2 + rng.uniform(-4, 4, 2), rng.uniform(15, 20)
    tilt = np.exp(1j * rng.uniform(-0.15, 0.15))
    place = ((columns - centre[0]) + 1j * (rows - centre[1])) * tilt / radius
    inside = np.clip(0.5 - radius * shape(place.real, place.imag), 0, 1)[..., None]
    exact = (hue + rng.uniform(-0.03, 0.03)) % 1, rng.uniform(0.75, 1), rng.uniform(0.75, 1)
    colour = 255 * np.array(hsv_to_rgb(*exact))
    pixels = inside * colour + (1 - inside) * ground[..., None]
    pixels += rng.normal(0, 8, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()
