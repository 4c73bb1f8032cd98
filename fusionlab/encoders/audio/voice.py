"""A pretrained LSTM over mel frames (Resemblyzer's speaker encoder)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.mel import Mel, mel_frames
from fusionlab.encoders.audio.recurrent import autocast_as_able
from fusionlab.encoders.audio.steps import AudioSteps
from fusionlab.encoders.contract import ENCODERS, Batch, Encoder, Sample
from fusionlab.encoders.sources import locate
from fusionlab.errors import FusionlabError
from fusionlab.schema import Section

RATE = 16_000
MEL = Mel(n_mels=40, n_fft=400, hop=160, fmin=0, scale="slaney", area=True, log=False)
"""What the weights were trained on: energies, not their logarithms."""
WINDOW = 160
"""Frames that the network reads at once: 1.6 s."""
STEP = 77
"""Frames between the starts of windows: 1.3 windows a second."""
COVERED = 0.75
"""A last window less covered by sound than this is dropped, unless it is the only one."""


class VoiceSteps(AudioSteps):
    """Silent ends trimmed, and as loud as what the weights were trained on."""

    trim: PositiveFloat | None = 40.0
    loudness: float | None = Field(-30.0, ge=-70, le=0)


VOICE_STEPS = VoiceSteps()


def window_starts(samples: int) -> list[int]:
    """The first frames of the windows of a clip."""
    frames = -(-(samples + 1) // MEL.hop)
    starts = list(range(0, max(1, frames - WINDOW + STEP + 1), STEP))
    covered = samples - starts[-1] * MEL.hop
    return starts[:-1] if len(starts) > 1 and covered < COVERED * WINDOW * MEL.hop else starts


@dataclass(frozen=True)
class PrepareWindows:
    """A sound file to windows of mel frames (n, 160, 40)."""

    steps: AudioSteps

    def __call__(self, raw: Raw) -> Sample:
        """The sample {windows: (n, 160, 40)}; raises `BadMedia`."""
        wave = self.steps(raw, RATE)
        starts = window_starts(len(wave))
        end = (starts[-1] + WINDOW) * MEL.hop
        frames = mel_frames(F.pad(wave, (0, max(0, end - len(wave)))), RATE, MEL)
        return {"windows": torch.stack([frames[start : start + WINDOW] for start in starts])}


@ENCODERS.register("audio_voice")
class AudioVoice(Encoder):
    """A three-layer LSTM over mel energies, pretrained to tell voices apart.

    Each window w of 1.6 s gives e_w = relu(W h + b) / |relu(W h + b)| with h the last state of the
    last layer; x = mean_w e_w / |mean_w e_w|, 256 wide, no entry negative.

    The energies are no logarithms, so loudness matters: the model heard speech without pauses at
    -30 dB of full scale or louder, hence the defaults of ``steps``: trim 40, loudness -30.

    Options:
        weights: a checkpoint, or the package that holds one (pip install --no-deps Resemblyzer)
        steps: preprocessing: seconds, longer, mono, trim, denoise, loudness

    Source: Wan et al. 2018, Generalized end-to-end loss for speaker verification.
    """

    medium = Medium.AUDIO

    def __init__(
        self,
        *,
        weights: str = "package:Resemblyzer",
        steps: Annotated[AudioSteps, Section(VoiceSteps)] = VOICE_STEPS,
    ) -> None:
        super().__init__()
        self.prepare = PrepareWindows(steps)
        self.lstm = nn.LSTM(MEL.n_mels, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        self.spec = FeatureSpec(256)
        try:
            self.load_state_dict(_checkpoint(weights))
        except FusionlabError:
            raise
        except Exception as error:  # torch fails on bad bytes in every way there is
            problem = f"weights: {weights!r} is no checkpoint of this model: {error}"
            raise FusionlabError(problem) from None

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Windows (B, n, 160, 40) with zeros behind, and how many there are (B,)."""
        windows, counts = pooling.pad([sample["windows"] for sample in samples])
        return {"windows": windows, "counts": counts}

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The clips' vectors of length 1, (B, 1, 256)."""
        windows = batch["windows"]
        mask = pooling.on(batch["counts"], windows.shape[1])
        with autocast_as_able(windows):
            _, (hidden, _) = self.lstm(windows[mask])
        found = F.normalize(F.relu(self.linear(hidden[-1])), dim=1)
        return pooling.pooled(F.normalize(pooling.mean(pooling.placed(found, mask), mask), dim=1))


def _checkpoint(weights: str) -> dict[str, Tensor]:
    """The LSTM's and the linear map's tensors; nothing of the file is executed."""
    path = Path(locate(weights))
    if path.is_dir():
        files = sorted(path.glob("*.pt"))
        path = files[0] if len(files) == 1 else path
    if not path.is_file():
        raise FusionlabError(f"weights: found {weights!r}, expected one file, or package:NAME")
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    return {k: x for k, x in state.items() if k.startswith(("lstm.", "linear."))}
