"""Sounds whose truth is known, in memory as files."""

import io
import struct

import numpy as np
import soundfile

RATE = 16_000


def sine(hertz=440.0, seconds=1.0, rate=RATE, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def noise(seconds=1.0, rate=RATE, level=0.1, seed=0):
    draw = np.random.default_rng(seed)
    return (level * draw.standard_normal(int(seconds * rate))).astype("f4")


def chirp(seconds=1.0, rate=RATE, start=200.0, stop=3000.0):
    t = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (start * t + (stop - start) * t**2 / 2 / seconds))).astype(
        "f4"
    )


def encoded(wave, rate=RATE, kind="WAV", subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=kind, subtype=subtype)
    return file.getvalue()


def wav_header(data_bytes, rate=RATE, channels=1, bits=16, tag=1):
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    size = (36 + data_bytes) & 0xFFFFFFFF
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", data_bytes)
