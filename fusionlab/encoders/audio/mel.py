"""Log-mel spectrograms and their cepstral coefficients."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from fusionlab.encoders.audio.settings import Settings


class Mel(Settings):
    """A mel spectrogram: energies of ``n_mels`` bands between ``fmin`` and ``fmax`` Hz.

    ``n_fft`` samples a frame (Hann window), ``hop`` samples apart, centred (the ends padded with
    zeros). ``fmax``: None is half the sampling rate. ``scale``: which mel formula. ``area``: bands
    of equal area (Slaney) instead of equal height. ``log``: ln(max(energy, ``floor``)), else the
    energies. ``standardise``: each band to mean 0 and deviation 1 over the clip.
    """

    n_mels: PositiveInt = 64
    n_fft: PositiveInt = 512
    hop: PositiveInt = 160
    fmin: NonNegativeFloat = 20.0
    fmax: PositiveFloat | None = None
    scale: Literal["htk", "slaney"] = "htk"
    area: bool = False
    log: bool = True
    floor: PositiveFloat = 1e-10
    standardise: bool = False

    def frames(self, samples: int) -> int:
        """How many frames ``samples`` samples have."""
        return 1 + samples // self.hop


def mel_frames(wave: Tensor, rate: int, mel: Mel) -> Tensor:
    """The frames (T, n_mels) of a waveform (samples,), T = 1 + samples // hop."""
    window, bands = _tables(rate, mel)
    spectrum = torch.stft(
        wave, mel.n_fft, mel.hop, window=window, pad_mode="constant", return_complex=True
    ).T  # the ends are padded with zeros: a clip may be shorter than half a frame
    # not abs().square(), which takes a root in between: as long as all the rest
    energy = (spectrum.real.square() + spectrum.imag.square()) @ bands
    frames = energy.clamp_min(mel.floor).log() if mel.log else energy
    if mel.standardise:
        frames = frames - frames.mean(0)
        frames = frames / frames.square().mean(0).sqrt().clamp_min(1e-5)
    return frames


@lru_cache(maxsize=8)
def _tables(rate: int, mel: Mel) -> tuple[Tensor, Tensor]:
    """The window (n_fft,) and the bands' weights (frequencies, n_mels)."""
    from torchaudio.functional import melscale_fbanks

    bands = melscale_fbanks(
        mel.n_fft // 2 + 1,
        mel.fmin,
        mel.fmax or rate // 2,
        mel.n_mels,
        rate,
        norm="slaney" if mel.area else None,
        mel_scale=mel.scale,
    )
    return torch.hann_window(mel.n_fft), bands


def cepstrum(frames: Tensor, coefficients: int) -> Tensor:
    """The first coefficients of the orthonormal DCT-II of log-mel frames: (T, n) to (T, c)."""
    from torchaudio.functional import create_dct

    return frames @ create_dct(coefficients, frames.shape[1], "ortho")


def deltas(frames: Tensor, reach: int = 2) -> Tensor:
    """Slopes over 2 ``reach`` + 1 frames (T, d): sum_n n (x_{t+n} - x_{t-n}) / (2 sum_n n^2)."""
    from torchaudio.functional import compute_deltas

    return compute_deltas(frames.T, 2 * reach + 1).T
