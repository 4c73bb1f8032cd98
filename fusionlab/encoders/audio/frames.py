"""What encoders of frames share: clips of T frames each, in batches padded with zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.mel import Mel, mel_frames
from fusionlab.encoders.audio.steps import AudioSteps
from fusionlab.encoders.contract import Batch, Encoder, Sample
from fusionlab.schema import Section

Steps = Annotated[AudioSteps, Section(AudioSteps)]
AUDIO_STEPS = AudioSteps()
MelOptions = Annotated[Mel, Section(Mel)]
LOG_MEL = Mel()


@dataclass(frozen=True)
class PrepareFrames:
    """A sound file to its mel frames (T, n_mels)."""

    steps: AudioSteps
    rate: int
    mel: Mel

    def __call__(self, raw: Raw) -> Sample:
        """The sample {frames: (T, n_mels)}; raises `BadMedia`."""
        return {"frames": mel_frames(self.steps(raw, self.rate), self.rate, self.mel)}

    def most(self) -> int:
        """The most frames that a clip can have."""
        return self.mel.frames(self.steps.samples(self.rate))


class FrameEncoder(Encoder):
    """An encoder of frames; work is counted in frames."""

    medium = Medium.AUDIO

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Frames (B, T, d) with zeros behind the shorter clips, and lengths (B,)."""
        frames, lengths = pooling.pad([sample["frames"] for sample in samples])
        return {"frames": frames, "lengths": lengths}


def token_spec(dim: int, frames: int, stride: int) -> FeatureSpec:
    """The shape of tokens that stand for ``stride`` frames each."""
    return FeatureSpec(dim, -(-frames // stride))


def mask_of(batch: Batch) -> Tensor:
    """Which frames (B, T) of a batch are no padding."""
    return pooling.on(batch["lengths"], batch["frames"].shape[1])
