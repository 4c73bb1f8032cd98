"""A convolutional network over windows of a log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from einops import reduce
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.frames import AUDIO_STEPS, Steps
from fusionlab.encoders.audio.steps import AudioSteps
from fusionlab.encoders.contract import ENCODERS, Batch, Encoder, Sample
from fusionlab.encoders.weights import load_weights
from fusionlab.schema import Seed

RATE = 44_100
N_FFT, HOP, BANDS = 2048, 1024, 96
GAIN = 1e4
LARGEST = 9.457798957824707
"""Of log10(1 + 10^4 energy) over all that the published weights were trained on."""
WINDOW = 100
"""Frames that the network reads at once: 2.3 s."""
STEP = WINDOW // 2
PREFIX = "embedding_net."
"""What the names of the published network begin with; its other tensors are classifiers."""


@dataclass(frozen=True)
class PrepareSpectrogram:
    """A sound file to windows of log-mel frames (n, 100, 96)."""

    steps: AudioSteps

    def __call__(self, raw: Raw) -> Sample:
        """The sample {windows: (n, 100, 96)}; raises `BadMedia`."""
        return {"windows": windows(log_mel(self.steps(raw, RATE)))}

    def most(self) -> int:
        """The most windows that a clip can have."""
        return _whole_windows(1 + self.steps.samples(RATE) // HOP)


def log_mel(wave: Tensor) -> Tensor:
    """Frames (T, 96) of a waveform (samples,), T = 1 + samples // 1024; silence is 0.

    log10(1 + 10^4 e) / 9.46, e the energies of bands from 0 to 22,050 Hz whose triangles are linear
    in mel and whose weights sum to 1, under a Hann window; the ends are padded with zeros.
    """
    window = torch.hann_window(N_FFT, periodic=False)
    spectrum = torch.stft(wave, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)
    energy = spectrum.abs().square().T @ _bands()
    return (1 + GAIN * energy).log10() / LARGEST


@lru_cache(maxsize=1)
def _bands() -> Tensor:
    """Weights (1025, 96) of the frequencies in each band; mel = 1127 ln(1 + Hz / 700)."""
    mel = 1127 * torch.log1p(torch.linspace(0, RATE / 2, N_FFT // 2 + 1).double() / 700)
    edges = torch.linspace(0, float(mel[-1]), BANDS + 2).double()
    distance = (mel[:, None] - edges[1:-1]).abs() / (edges[1] - edges[0])
    weights = (1 - distance).clamp_min(0)
    return (weights / weights.sum(0)).float()


def windows(frames: Tensor) -> Tensor:
    """Frames (T, d) as windows (n, 100, d), each half a window behind the last.

    A last one that the clip does not fill is dropped, unless it is the only one.
    """
    frames = F.pad(frames, (0, 0, 0, max(0, WINDOW - len(frames))))
    return frames.unfold(0, WINDOW, STEP).transpose(1, 2).contiguous()


def _whole_windows(frames: int) -> int:
    return 1 + max(0, frames - WINDOW) // STEP


class Block(nn.Module):
    """Two convolutions of 3 x 3, each normalised and rectified, and a maximum over 2 x 2."""

    def __init__(self, read: int, width: int, halve: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(read, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.halve = halve
        for convolution in (self.conv1, self.conv2):
            nn.init.kaiming_uniform_(convolution.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, c, t, f) to (B, width, t / 2, f / 2), or of the same size."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.max_pool2d(x, 2) if self.halve else x


@ENCODERS.register("audio_cnn")
class AudioCnn(Encoder):
    """A convolutional network over log-mel frames, random or pretrained on sound effects.

    Four blocks of two 3 x 3 convolutions (batch normalisation, ReLU), the first three halved by a
    maximum. Of a window of 2.3 s, e_w = max_t mean_f map(t, f), 8 ``width`` wide; windows overlap
    by half. Pooled: x = mean_w e_w. Tokens: e_1, e_2, ... in time.

    Weights are random, drawn with ``seed``, for training with the recommender, unless ``weights``
    names some. The published ones (pip install --no-deps aisfx==0.1.2; weights CC BY 4.0) have
    width 64, so 512 features, and heard sounds at their own loudness.

    Options:
        weights: a file, a folder or package:NAME (package:aisfx); none: random
        width: channels of the first block; each of the others has twice as many as the one before
        pool: "mean" of the windows, or "tokens": one a window
        seed: of random weights
        steps: preprocessing: seconds, longer, mono, trim, denoise, loudness

    Source: Kong et al. 2018, DCASE 2018 challenge Surrey cross-task convolutional neural network
        baseline (the network); Ma and Lerch 2022, Representation learning for the automatic
        indexing of sound effects libraries (spectrogram, windows, weights).
    """

    medium = Medium.AUDIO
    prepare: PrepareSpectrogram

    def __init__(
        self,
        *,
        weights: str | None = None,
        width: PositiveInt = 64,
        pool: Literal["mean", "tokens"] = "mean",
        seed: Seed = 0,
        steps: Steps = AUDIO_STEPS,
    ) -> None:
        super().__init__()
        self.prepare = PrepareSpectrogram(steps)
        self.pool = pool
        widths = [1, width, 2 * width, 4 * width, 8 * width]
        with torch.random.fork_rng(devices=[]):  # leave the caller's seed alone
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                *(Block(widths[k], widths[k + 1], halve=k < 3) for k in range(4))
            )
        if weights is not None:
            load_weights(self.network, weights, PREFIX)
        self.spec = FeatureSpec(widths[-1], self.prepare.most() if pool == "tokens" else 1)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Windows (B, n, 100, 96) with zeros behind, and how many there are (B,)."""
        found, counts = pooling.pad([sample["windows"] for sample in samples])
        return {"windows": found, "counts": counts}

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A vector a clip (B, 1, d), or one a window (B, n, d)."""
        windows = batch["windows"]
        mask = pooling.on(batch["counts"], windows.shape[1])
        found = pooling.placed(self.embedded(windows[mask]), mask)
        if self.pool == "tokens":
            return found, mask
        return pooling.pooled(pooling.mean(found, mask))

    def embedded(self, windows: Tensor) -> Tensor:
        """Vectors (n, d) of windows (n, 100, 96)."""
        maps = self.network(windows[:, None])
        return reduce(reduce(maps, "n d t f -> n d t", "mean"), "n d t -> n d", "max")
