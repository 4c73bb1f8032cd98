"""How an item goes through a model: prompt, text, then vectors; with what is kept, or all anew.

Shapes: B items, S vectors an item, E the width of the model.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab.encoders.text.loading import Precision
from fusionlab.llm.lora import add_lora
from fusionlab.llm.model import LanguageModel, load
from fusionlab.llm.prefix_cache import shared_cache

Parts = Sequence[tuple[Tensor, Tensor]]
"""Tokens a part, (B, S') ids or (B, S', E) vectors, and which of them are there, (B, S')."""


@dataclass(frozen=True, slots=True)
class Reading:
    """States after the prompt: ``hidden`` (B, S, E) that are ``there`` (B, S), and of
    what was read before them their number (B,), the last (B, E) and the sum (B, E); zero if none.
    """

    hidden: Tensor
    there: Tensor
    before: Tensor
    last: Tensor
    total: Tensor


class Reader(ABC):
    """A language model behind a prompt."""

    llm: LanguageModel
    lora: nn.ParameterDict
    """What is trained in the model, if anything."""

    @abstractmethod
    def read(self, text: Parts, vectors: Parts) -> Reading:
        """Read B items: token ids, then vectors; there is a part of one of them at least."""

    @abstractmethod
    def to(self, device: torch.device) -> None:
        """Move the model."""


class FrozenReader(Reader):
    """A model that is shared by all who read with it, and keeps what it made of prompt and text."""

    def __init__(
        self, model: str, layers: int | None, dtype: Precision, prompt: str, cache_mb: float
    ) -> None:
        threads = torch.get_num_threads()
        self._asked = (model, layers, dtype, prompt, cache_mb, threads)
        self.lora = nn.ParameterDict()
        self.to(torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        """Take the model, and what it keeps, of that device."""
        model, layers, dtype, prompt, cache_mb, threads = self._asked
        cache = shared_cache(model, layers, dtype, str(device), prompt, cache_mb, threads)
        if getattr(self, "cache", None) is not cache:
            cache.begin()
        self.cache, self.llm = cache, cache.llm

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenReader:
        """A copy reads by the same model: it never changes, and is large."""
        return copy.copy(self)

    def read(self, text: Parts, vectors: Parts) -> Reading:
        """Only the vectors go through the model, and text that is new."""
        ids, on = _joined(text or [_nothing(vectors)])
        prefix = self.cache.read(ids, on)
        if vectors:
            tokens, there = left_aligned(vectors)
        else:
            tokens, there = self.llm.embed(ids[:, :0].long()), on[:, :0]
        hidden = self.llm.states(tokens, there, prefix.past) if there.shape[1] else tokens
        return Reading(hidden, there, prefix.lengths, prefix.last, prefix.total)


class TrainedReader(Reader):
    """A model of one's own with LoRA: its keys and values change, so nothing is kept."""

    def __init__(
        self, model: str, layers: int | None, dtype: Precision, prompt: str, rank: int
    ) -> None:
        self.llm = load(model, layers, dtype)
        self.lora = add_lora(self.llm, rank)
        self.prompt = torch.tensor(self.llm.tokens(prompt, start=True), dtype=torch.long)

    def to(self, device: torch.device) -> None:
        """Move the model."""
        self.llm.to(device)
        self.prompt = self.prompt.to(device)

    def read(self, text: Parts, vectors: Parts) -> Reading:
        """Prompt, text and vectors go through the model."""
        n = len((text or vectors)[0][0])
        begin = self.prompt.expand(n, -1), torch.ones_like(self.prompt, dtype=torch.bool)
        ids = [(begin[0], begin[1].expand(n, -1)), *text]
        embedded = [(self.llm.embed(x.long()), on) for x, on in ids]
        tokens, there = left_aligned([*embedded, *vectors])
        first = len(self.prompt)
        hidden, there = self.llm.states(tokens, there)[:, first:], there[:, first:]
        count = sum((on.sum(1) for _, on in text), torch.zeros_like(there[:, :0].sum(1)))
        written = there & (torch.arange(there.shape[1], device=there.device) < count[:, None])
        last = hidden[torch.arange(n, device=count.device), (count - 1).clamp(min=0)]
        last = torch.where(count[:, None] > 0, last, 0)
        total = torch.where(written[..., None], hidden, 0).sum(1)
        return Reading(hidden, there & ~written, count, last, total)


def left_aligned(parts: Parts) -> tuple[Tensor, Tensor]:
    """The tokens (B, S, E) that are there, in order and without holes, and which are no padding."""
    tokens, there = _joined(parts)
    longest = max(there.sum(1).tolist(), default=0)
    order = (~there).int().argsort(dim=1, stable=True)[:, :longest]
    there = there.gather(1, order)
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[2])), there


def _joined(parts: Parts) -> tuple[Tensor, Tensor]:
    return torch.cat([tokens for tokens, _ in parts], 1), torch.cat([on for _, on in parts], 1)


def _nothing(parts: Parts) -> tuple[Tensor, Tensor]:
    on = parts[0][1][:, :0]
    return on.int(), on
