"""Codes in sound: a timbre, a rhythm and a register."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np

RATE = 16_000
"""Samples a second; a sound lasts one second."""
DECAY = 0.05
TIMBRES = (
    ((1,), 0.0),
    ((1, 2, 3, 4, 5, 6), 0.0),
    ((1, 3, 5), 0.0),
    ((1,), 0.3),
)
"""Pure, bright, hollow, breathy: the partials that sound, and how much breath there is."""
BEATS = (1, 4, 2, 8)
PITCHES = (131.0, 523.0, 262.0, 1047.0)
"""Of the root in hertz: C3, C5, C4, C6."""


def sound(values: Sequence[int], rng: np.random.Generator) -> bytes:
    """A WAV of one second, 16 bit, 16 kHz, mono: a note struck once or again and again.

    Its partials h have the amplitude h^-1/2, and each stroke decays as exp(-t / .05 s). What means
    nothing: the root within two semitones, gain, when it starts, tempo, phases, noise.
    """
    (partials, breath), beats = TIMBRES[values[0]], BEATS[values[1]]
    root = PITCHES[values[2]] * 2 ** (rng.uniform(-2, 2) / 12)
    times = np.arange(RATE) / RATE
    ratios = np.array(partials)
    phases = 2 * np.pi * (np.outer(ratios, root * times) + rng.random((len(ratios), 1)))
    note = ratios**-0.5 @ np.sin(phases) + breath * rng.standard_normal(RATE)
    start, length = rng.uniform(0.02, 0.08), rng.uniform(0.8, 0.9)
    stroke = (times - start) * (beats / length)
    since = (stroke % 1) * (length / beats)
    struck = (stroke >= 0) & (stroke < beats)
    note *= struck * np.minimum(since / 0.005, 1) * np.exp(-since / DECAY)
    note *= rng.uniform(0.2, 0.8) / abs(note).max()
    note += rng.normal(0, 0.002, RATE)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes((note * 32767).astype("<i2").tobytes())
    return file.getvalue()
