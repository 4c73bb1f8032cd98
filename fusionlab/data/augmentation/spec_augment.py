"""Stretches of time and bands of frequency hidden in a sound's spectrogram."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from fusionlab.data.augmentation.contract import (
    AUGMENTATIONS,
    Augmentation,
    Sample,
    no_trained_encoder,
)
from fusionlab.data.features import FeatureSpec

SPECTROGRAMS = ("frames", "windows", "input")
"""Under which of these a prepared sound holds its mel frames, (T, F) or in windows (n, T, F)."""
LENGTH = "length"
"""How many frames are the clip's own, where there is padding behind."""
Share = Annotated[float, Field(ge=0, le=1)]


@AUGMENTATIONS.register("spec_augment")
class SpecAugment(Augmentation):
    """Masks of f bands and of t frames,  f ~ U{0, ..., F'},  t ~ U{0, ..., T'}, set to the mean

    F' and T' are ``frequency`` and ``time`` of all bands and frames, where a mask begins is uniform
    too, and the mean is that of the clip, which is 0 in the paper, where clips are normalised.
    There is no time warping, which the paper finds of little use.

    What it changes is the prepared sound that a trained encoder reads, the mel frames: of
    `audio_recurrent`, of Whisper's encoder in `audio_transformer` (of the clip's own part), and the
    windows of `audio_cnn` and `audio_voice`. Frequency masks are the same in all windows of a clip,
    time masks each window's own. Waveforms (wav2vec 2.0 and its kin, whose frames are learned) are
    refused.

    Options:
        frequency: F', the largest share of bands that a mask hides
        time: T', the largest share of frames
        frequency_masks: how many
        time_masks: how many

    Source: Park et al. 2019, SpecAugment: a simple data augmentation method for automatic speech
        recognition.
    """

    def __init__(
        self,
        *,
        frequency: Share = 0.2,
        time: Share = 0.1,
        frequency_masks: NonNegativeInt = 2,
        time_masks: NonNegativeInt = 2,
    ) -> None:
        self.frequency, self.time = frequency, time
        self.frequency_masks, self.time_masks = frequency_masks, time_masks

    @classmethod
    def unfit(cls, spec: FeatureSpec | None, sample: Sample | None) -> str:
        """Only a spectrogram has both time and frequency."""
        if sample is None:
            return no_trained_encoder("sound")
        wanted = "expected an encoder that reads mel frames: audio_recurrent, audio_cnn or Whisper"
        found = _spectrogram(sample)
        if not found:
            return f"which changes spectrograms of sound; {wanted}"
        if sample[found].ndim < 2:
            return f"which changes spectrograms, for an encoder that reads waveforms; {wanted}"
        return ""

    def sample(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Other frames of the same shape."""
        name = _spectrogram(sample)
        whole = sample[name]
        own = int(sample[LENGTH]) if LENGTH in sample else whole.shape[-2]
        frames = whole[..., :own, :]
        windows = frames.shape[0] if frames.ndim == 3 else 1
        bands = hidden(1, frames.shape[-1], self.frequency, self.frequency_masks, generator)
        times = hidden(windows, own, self.time, self.time_masks, generator)
        off = bands[:, None, :] | times[..., None]
        found = whole.clone()
        found[..., :own, :] = torch.where(off.reshape(frames.shape), frames.mean(), frames)
        return {**sample, name: found}


def hidden(rows: int, length: int, share: float, masks: int, generator: torch.Generator) -> Tensor:
    """Which places (rows, length) are hidden by masks of 0 to ``share`` of the length each."""
    most = int(share * length)
    sizes = torch.randint(most + 1, (rows, masks, 1), generator=generator)
    room = length - sizes + 1
    starts = (torch.rand(rows, masks, 1, generator=generator) * room).long()
    places = torch.arange(length)
    return ((places >= starts) & (places < starts + sizes)).any(1)


def _spectrogram(sample: Sample) -> str:
    """Where a sample holds its mel frames; "" if nowhere."""
    return next((name for name in SPECTROGRAMS if name in sample), "")
