"""Mel-frequency cepstral coefficients: the classic description of a sound, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Raw
from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.frames import (
    AUDIO_STEPS,
    LOG_MEL,
    FrameEncoder,
    MelOptions,
    PrepareFrames,
    Steps,
    mask_of,
    token_spec,
)
from fusionlab.encoders.audio.mel import cepstrum, deltas
from fusionlab.encoders.contract import ENCODERS, Batch, Sample
from fusionlab.errors import ConfigError


@dataclass(frozen=True)
class PrepareCepstra:
    """A sound file to its cepstral coefficients (T, c), or (T, 2 c) with their slopes."""

    frames: PrepareFrames
    coefficients: int
    deltas: bool

    def __call__(self, raw: Raw) -> Sample:
        """The sample {frames: (T, c or 2 c)}; raises `BadMedia`."""
        found = cepstrum(self.frames(raw)["frames"], self.coefficients)
        return {"frames": torch.cat([found, deltas(found)], 1) if self.deltas else found}


@ENCODERS.register("audio_mfcc")
class AudioMfcc(FrameEncoder):
    """Mel-frequency cepstral coefficients (MFCC), the classic baseline.

    c_t = DCT-II(log mel_t), of which the first coefficients are kept. Pooled: x = [mean_t c_t;
    std_t c_t]. Tokens: the means of every ``stride`` frames.

    Options:
        coefficients: how many are kept of each frame
        deltas: add their slopes over 5 frames
        pool: "stats" (mean and standard deviation) or "tokens"
        stride: frames a token stands for
        rate: Hz to which sounds are resampled
        steps: preprocessing: seconds, longer, mono, trim, denoise, loudness
        mel: the spectrogram: n_mels, n_fft, hop, fmin, fmax, scale, area, log, floor, standardise

    Source: Davis & Mermelstein 1980, Comparison of parametric representations for monosyllabic word
        recognition in continuously spoken sentences.
    """

    def __init__(
        self,
        *,
        coefficients: PositiveInt = 20,
        deltas: bool = False,
        pool: Literal["stats", "tokens"] = "stats",
        stride: PositiveInt = 25,
        rate: PositiveInt = 16_000,
        steps: Steps = AUDIO_STEPS,
        mel: MelOptions = LOG_MEL,
    ) -> None:
        super().__init__()
        if coefficients > mel.n_mels:
            problem = f"found {coefficients}, more than the {mel.n_mels} bands of mel.n_mels"
            raise ConfigError([(("coefficients",), problem)])
        frames = PrepareFrames(steps, rate, mel)
        self.prepare = PrepareCepstra(frames, coefficients, deltas)
        self.pool, self.stride = pool, stride
        width = coefficients * (1 + deltas)
        pooled = FeatureSpec(2 * width)
        self.spec = pooled if pool == "stats" else token_spec(width, frames.most(), stride)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Means and deviations (B, 1, 2 c), or means of ``stride`` frames (B, T, c)."""
        frames, mask = batch["frames"], mask_of(batch)
        if self.pool == "tokens":
            return pooling.tokens(frames, mask, self.stride)
        mean = pooling.mean(frames, mask)
        variance = pooling.mean((frames - mean[:, None]).square(), mask)
        return pooling.pooled(torch.cat([mean, variance.sqrt()], 1))
