"""Frames of clips of different lengths: padding, means, tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def pad(clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Clips (T_i, ...) as one tensor (B, T, ...) with zeros behind, and their lengths (B,)."""
    lengths = torch.tensor([len(clip) for clip in clips])
    return torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True), lengths


def on(lengths: Tensor, most: int) -> Tensor:
    """Which of ``most`` frames belong to a clip: (B,) to (B, most) bool."""
    return torch.arange(most, device=lengths.device) < lengths[:, None]


def placed(vectors: Tensor, mask: Tensor) -> Tensor:
    """Vectors (n, d) of what is on, in order, where they stand: (B, T, d), zero elsewhere."""
    room = vectors.new_zeros(*mask.shape, vectors.shape[1])
    return room.masked_scatter(mask[..., None], vectors)


def mean(frames: Tensor, mask: Tensor) -> Tensor:
    """The mean of the frames that are on: (B, T, d), (B, T) to (B, d)."""
    kept = torch.where(mask[..., None], frames, 0)
    return kept.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)


def tokens(frames: Tensor, mask: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Means of every ``stride`` frames: (B, T, d), (B, T) to (B, ceil(T / stride), d) and mask.

    A token is on if any of its frames is.
    """
    missing = -frames.shape[1] % stride
    frames = rearrange(F.pad(frames, (0, 0, 0, missing)), "b (t s) d -> (b t) s d", s=stride)
    mask = rearrange(F.pad(mask, (0, missing)), "b (t s) -> b t s", s=stride)
    means = mean(frames, mask.flatten(0, 1))
    return means.unflatten(0, mask.shape[:2]), mask.any(2)


def pooled(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (B, d) as features of one token, (B, 1, d), that is on."""
    return vectors[:, None], torch.ones(len(vectors), 1, dtype=torch.bool, device=vectors.device)
