"""Image files made on the spot."""

from io import BytesIO

import numpy as np
from PIL import Image


def noise(width=48, height=40, channels=3, seed=0):
    """A picture of smooth noise: lossy formats keep it, and no two places look alike."""
    draw = np.random.default_rng(seed)
    shape = (5, 6, channels) if channels > 1 else (5, 6)
    small = Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, form="PNG", **options):
    """The bytes of a file."""
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pixels(image):
    return np.asarray(image).astype(int)
