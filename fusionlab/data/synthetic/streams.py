"""Independent streams of random numbers, one a purpose."""

from __future__ import annotations

import numpy as np


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """The generator of one purpose, e.g. ``stream(0, "noise", "text")``.

    Streams share nothing but the seed, so changing how much one purpose draws leaves every other
    one as it was: clicks do not move when noise does.
    """
    key = tuple("/".join(purpose).encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
