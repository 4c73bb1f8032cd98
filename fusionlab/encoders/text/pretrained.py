"""What all encoders of text by a pretrained transformer share: loading, tokens, batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.contract import BadMedia, Batch, Encoder, Fault, Sample
from fusionlab.encoders.text.loading import (
    OFFLINE_ENCODER,
    Precision,
    explained,
    found_at,
    load_encoder,
    load_tokenizer,
    quiet,
    source_hash,
)
from fusionlab.encoders.text.raw import text_of
from fusionlab.errors import FusionlabError


class PretrainedText(Encoder):
    """A pretrained transformer with its tokenizer; a subclass makes features of hidden states.

    Raises:
        FusionlabError: no such model, no way to load it, or weights that are not all its own.
    """

    medium = Medium.TEXT

    def __init__(self, model: str, layers: int | None, dtype: Precision = "float32") -> None:
        super().__init__()
        key = f"encoder {self.name!r}: "
        with explained(key, model, OFFLINE_ENCODER), quiet():
            source = found_at(model)
            self.model = load_encoder(key, source, layers, dtype)
            self.tokenizer = load_tokenizer(source)
        config: Any = self.model.config
        self._source_id = source_hash(self.tokenizer, config)
        self._about = config.get_text_config()

    @property
    def width(self) -> int:
        """d, of the hidden states."""
        return int(self._about.hidden_size)

    def source_id(self) -> str:
        """A hash of the tokenizer and of the model's configuration, wherever they were found."""
        return self._source_id

    def check_length(self, length: int) -> None:
        """Can the model read so many tokens?"""
        positions = getattr(self._about, "max_position_embeddings", length)
        limit = min(self.tokenizer.model_max_length, positions)
        if length > limit:
            raise FusionlabError(
                f"encoder {self.name!r}: max_length: found {length}, expected at most {limit}, "
                "which is what the model can read"
            )

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """``input_ids`` and ``attention_mask`` (B, L), padded on the right."""
        return padded(samples)


class Tokenise:
    """A text to ``{"tokens": (n,) long}`` between fixed tokens; ``length`` tokens at most.

    Args:
        tokenizer: of the model.
        length: tokens in all.
        around: tokens before and after the text; None: those that the tokenizer puts there.
    """

    def __init__(
        self, tokenizer: Any, length: int, around: tuple[list[int], list[int]] | None = None
    ) -> None:
        self.tokenizer, self.around = tokenizer, around
        self.fixed = tokenizer("").input_ids if around is None else [*around[0], *around[1]]
        self.room = length if around is None else length - len(self.fixed)

    def __call__(self, raw: Raw) -> Sample:
        """Raises `BadMedia` where the text is empty, or nothing of it is left."""
        tokens = self.tokenizer(
            text_of(raw),
            add_special_tokens=self.around is None,
            truncation=True,
            max_length=self.room,
        ).input_ids
        if self.around:
            tokens = [*self.around[0], *tokens, *self.around[1]]
        if len(tokens) <= len(self.fixed):
            raise BadMedia(Fault.MISSING, "the tokenizer leaves nothing of the text")
        return {"tokens": torch.tensor(tokens)}


def padded(samples: Sequence[Sample]) -> Batch:
    """``input_ids`` and ``attention_mask`` (B, L), padded on the right."""
    tokens = [one["tokens"] for one in samples]
    return {
        "input_ids": pad_sequence(tokens, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(x) for x in tokens], batch_first=True),
    }


def masked_mean(hidden: Tensor, on: Tensor) -> Tensor:
    """The mean (B, d) of the hidden states (B, L, d) that are on (B, L)."""
    total = torch.where(on[..., None], hidden, 0).sum(1, dtype=torch.float32)
    return total / on.sum(1, keepdim=True)
