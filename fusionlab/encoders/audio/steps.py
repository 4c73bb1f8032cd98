"""Preprocessing of sound: from the waveform in the file to the one that an encoder hears."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor

from fusionlab.data.media import Raw
from fusionlab.encoders.audio.reading import read_audio
from fusionlab.encoders.audio.settings import Settings

SILENCE = 1e-10
"""Energies below are silence: no level can be told."""
TERMS = 1000
"""Resampling by p / q keeps a table of about p q numbers: neither is larger than this."""
GATE_SECONDS = 0.4
"""The blocks over which ITU-R BS.1770 measures loudness."""


class Gate(Settings):
    """Spectral gating: frequencies are turned down where they do not rise above the noise.

    With levels L(f, t) in dB of a short-time Fourier transform, the noise at f has the mean m(f)
    and the standard deviation s(f) of L over the quietest ``noise`` of frames (by energy). The gain
    at (f, t) goes smoothly from -``reduction`` dB to 0 around the threshold m(f) + ``above`` s(f):
    a logistic of the distance in units of ``softness`` dB, averaged over 5 frames, so that lone
    bins do not ring ("musical noise"); averaged over frequencies too, it takes a third of a tone.

    A sound that never pauses is its own quietest part, and is turned down like noise.

    Source: Sainburg et al. 2020, Finding, visualizing, and quantifying latent structure across
        diverse animal vocal repertoires (noise reduction by spectral gating).
    """

    noise: float = Field(0.1, gt=0, le=1)
    above: float = Field(2.0, ge=0)
    reduction: PositiveFloat = 30.0
    softness: PositiveFloat = 2.0
    n_fft: int = Field(1024, ge=16, multiple_of=4)


class AudioSteps(Settings):
    """What is done to a sound before an encoder hears it, in this order.

    ``seconds`` and ``longer``: a longer clip is cut to its first seconds, or refused.
    ``mono``: the mean of the channels, or the first (channels in opposite phase cancel in a mean).
    Resampling to the encoder's rate.
    ``trim``: drop both ends where they are this many dB below the loudest part (None: keep).
    ``denoise``: spectral gating (None: none).
    ``loudness``: scale to this integrated loudness in LUFS (None: leave; samples may pass 1).
    """

    seconds: PositiveFloat = 30.0
    longer: Literal["cut", "refuse"] = "cut"
    mono: Literal["mean", "first"] = "mean"
    trim: PositiveFloat | None = None
    denoise: Gate | None = None
    loudness: float | None = Field(None, ge=-70, le=0)

    def samples(self, rate: int) -> int:
        """The most samples that a clip can have at ``rate``."""
        return max(1, math.ceil(self.seconds * rate))

    def __call__(self, raw: Raw, rate: int) -> Tensor:
        """The waveform (samples,) at ``rate`` of a sound file; raises `BadMedia`."""
        wave, own_rate = read_audio(raw, self.seconds, self.longer)
        return list(self.trace(wave, own_rate, rate).values())[-1][0, : self.samples(rate)]

    def trace(self, wave: Tensor, own_rate: int, rate: int) -> dict[str, Tensor]:
        """The waveform (channels, samples) after each step, by the name of the step."""
        after = {"read": wave}
        wave = after["mono"] = wave[:1] if self.mono == "first" else wave.mean(0, keepdim=True)
        wave = after["resample"] = resample(wave, own_rate, rate)
        if self.trim is not None:
            wave = after["trim"] = trim_silence(wave, rate, self.trim)
        if self.denoise is not None:
            wave = after["denoise"] = gate_noise(wave, self.denoise)
        if self.loudness is not None:
            after["loudness"] = to_loudness(wave, rate, self.loudness)
        return after


def resample(wave: Tensor, own_rate: int, rate: int) -> Tensor:
    """The waveform (channels, samples) at another rate, band-limited (windowed sinc).

    Rates in use are met exactly, odd ones within a thousandth (2 cents): 44,101 to 16,000 Hz
    exactly would take a table of 700 million numbers.
    """
    if own_rate == rate:
        return wave
    ratio = Fraction(rate, own_rate)
    ratio = ratio.limit_denominator(max(1, TERMS * min(rate, own_rate) // rate))
    return _resampler(ratio.denominator, ratio.numerator)(wave)


@lru_cache(maxsize=32)
def _resampler(own: int, new: int) -> Any:
    from torchaudio.transforms import Resample

    return Resample(own, new)


def trim_silence(wave: Tensor, rate: int, below: float) -> Tensor:
    """Drop both ends of (channels, samples) whose energy is ``below`` dB or more under the peak's.

    Energy is taken over blocks of 10 ms; what lies between two louder blocks is kept. A clip of
    pure silence has no peak and stays as it is.
    """
    block = max(1, rate // 100)
    padded = F.pad(wave, (0, -wave.shape[1] % block))
    energy = padded.square().mean(0).unflatten(0, (-1, block)).mean(1)
    loud = (energy > energy.max() * 10 ** (-below / 10)).nonzero()
    if not len(loud):
        return wave
    return wave[:, int(loud[0]) * block : (int(loud[-1]) + 1) * block]


def gate_noise(wave: Tensor, gate: Gate) -> Tensor:
    """Spectral gating of (channels, samples), as told in `Gate`."""
    size, hop, window = gate.n_fft, gate.n_fft // 4, torch.hann_window(gate.n_fft)
    spectrum = torch.stft(
        wave, size, hop, window=window, pad_mode="constant", return_complex=True
    )  # the ends are padded with zeros: a clip may be shorter than half a frame
    level = 20 * spectrum.abs().clamp_min(SILENCE).log10()  # (channels, frequencies, frames)
    energy = spectrum.abs().square().sum((0, 1))
    quiet = energy.argsort(stable=True)[: max(1, round(gate.noise * len(energy)))]
    noise = level[:, :, quiet]
    threshold = noise.mean(2) + gate.above * noise.std(2, correction=0)
    mask = torch.sigmoid((level - threshold[:, :, None]) / gate.softness)
    mask = F.avg_pool1d(mask, 5, stride=1, padding=2, count_include_pad=False)
    least = 10 ** (-gate.reduction / 20)
    gated = spectrum * (least + (1 - least) * mask)
    return torch.istft(gated, size, hop, window=window, length=wave.shape[1])


def loudness(wave: Tensor, rate: int) -> float:
    """The integrated loudness of (channels, samples) in LUFS, -inf for silence.

    ITU-R BS.1770-4 with torchaudio's filters (0.3 LU below the standard's at 1 kHz): K-weighted
    energy of overlapping 0.4 s blocks, gated at -70 LUFS and at 10 below the mean. A clip too short
    for one block, or with none above the gate, is measured by its plain mean square instead,
    -0.691 + 10 log10(mean x^2).
    """
    from torchaudio.functional import loudness as integrated

    if wave.shape[1] >= round(GATE_SECONDS * rate):
        measured = float(integrated(wave, rate))
        if torch.isfinite(torch.tensor(measured)):
            return measured
    energy = wave.double().square().mean()
    return float(-0.691 + 10 * energy.log10()) if energy > SILENCE else float("-inf")


def to_loudness(wave: Tensor, rate: int, target: float) -> Tensor:
    """Scale (channels, samples) to ``target`` LUFS; silence has no loudness and stays as it is."""
    measured = loudness(wave, rate)
    if measured == float("-inf"):
        return wave
    return wave * 10 ** ((target - measured) / 20)
