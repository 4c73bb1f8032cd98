"""LSTM or GRU over log-mel frames."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fusionlab.data.features import FeatureSpec, multiplied
from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.frames import (
    AUDIO_STEPS,
    FrameEncoder,
    PrepareFrames,
    Steps,
    mask_of,
    token_spec,
)
from fusionlab.encoders.audio.mel import Mel
from fusionlab.encoders.contract import ENCODERS, Batch
from fusionlab.schema import Section, Seed


class StandardMel(Mel):
    """A mel spectrogram whose bands are standardised over the clip, unless told otherwise."""

    standardise: bool = True


STANDARD_MEL = StandardMel()
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


@ENCODERS.register("audio_recurrent")
class AudioRecurrent(FrameEncoder):
    """An LSTM or GRU over log-mel frames, to be trained with the recommender.

    h_t = cell(mel_t, h_{t-1}) in each layer. Pooled: the mean of the last layer's h_t over the
    clip, or its last state (of both directions: h_T forwards and h_1 backwards). Tokens: the means
    of every ``stride`` states.

    Weights are random, drawn with ``seed``: frozen, it is a random projection of the sound's course
    in time. For pretrained weights see `audio_voice` and `audio_cnn`.

    Options:
        cell: "lstm" or "gru"
        hidden: width of a state (of each direction)
        layers: how many are stacked
        bidirectional: read the clip backwards too
        dropout: between layers, in training
        pool: "mean", "last" or "tokens"
        stride: frames a token stands for
        seed: of the initial weights
        rate: Hz to which sounds are resampled
        steps: preprocessing: seconds, longer, mono, trim, denoise, loudness
        mel: the spectrogram: n_mels, n_fft, hop, fmin, fmax, scale, area, log, floor, standardise

    Source: Hochreiter & Schmidhuber 1997, Long short-term memory; Cho et al. 2014, Learning phrase
        representations using RNN encoder-decoder (GRU).
    """

    def __init__(
        self,
        *,
        cell: Literal["lstm", "gru"] = "lstm",
        hidden: PositiveInt = 128,
        layers: PositiveInt = 1,
        bidirectional: bool = False,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        pool: Literal["mean", "last", "tokens"] = "mean",
        stride: PositiveInt = 25,
        seed: Seed = 0,
        rate: PositiveInt = 16_000,
        steps: Steps = AUDIO_STEPS,
        mel: Annotated[Mel, Section(StandardMel)] = STANDARD_MEL,
    ) -> None:
        super().__init__()
        self.prepare = frames = PrepareFrames(steps, rate, mel)
        self.pool, self.stride = pool, stride
        with torch.random.fork_rng(devices=[]):  # leave the caller's seed alone
            torch.manual_seed(seed)
            self.network = CELLS[cell](
                mel.n_mels,
                hidden,
                layers,
                batch_first=True,
                dropout=dropout if layers > 1 else 0.0,
                bidirectional=bidirectional,
            )
        width = hidden * (1 + bidirectional)
        tokens = token_spec(width, frames.most(), stride)
        self.spec = tokens if pool == "tokens" else FeatureSpec(width)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A vector a clip (B, 1, d), or means of ``stride`` states (B, T, d)."""
        states, last = run_packed(self.network, batch["frames"], batch["lengths"])
        if self.pool == "last":
            return pooling.pooled(last)
        if self.pool == "mean":
            return pooling.pooled(pooling.mean(states, mask_of(batch)))
        return pooling.tokens(states, mask_of(batch), self.stride)


def run_packed(network: nn.RNNBase, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The last layer's states (B, T, d) and its final state (B, d), each clip read to its own end.

    Frames behind a clip's end (B, T, n) are never read, in neither direction.
    """
    packed = pack_padded_sequence(frames, lengths.cpu(), batch_first=True, enforce_sorted=False)
    with autocast_as_able(frames):
        states, hidden = network(packed)
    if isinstance(hidden, tuple):  # an LSTM has a cell's state too
        hidden = hidden[0]
    directions = 1 + network.bidirectional
    last = hidden[-directions:].transpose(0, 1).flatten(1)
    return pad_packed_sequence(states, batch_first=True, total_length=frames.shape[1])[0], last


def autocast_as_able(frames: Tensor) -> torch.autocast:
    """Autocast as it is, but none on a CPU that has no LSTM in its type: float32 is read there."""
    device = frames.device.type
    dtype = torch.get_autocast_dtype(device)
    able = multiplied(frames.new_empty(0, dtype=dtype)) is dtype
    return torch.autocast(device, dtype, enabled=able and torch.is_autocast_enabled(device))
