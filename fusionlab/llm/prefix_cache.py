"""What a frozen model makes of prompt and item texts, computed once.

The prompt comes first and item text second, so neither depends on what follows: their keys and
values are the same in every step. The prompt's are computed at the start, a text's when it is first
read; they are kept by the *content* of its ids, within a budget. Where that is spent what is there
stays: a catalogue is read in the same order each time, and to let the oldest go would be to let
each go shortly before it is read again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from fusionlab.encoders.text.loading import Precision
from fusionlab.llm.model import LanguageModel, Past, shared

TEXTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Text:
    """One text after the prompt: keys and values (2 L, H, T, W), the last state (E,) and the sum of
    all its states (E,)."""

    states: Tensor
    last: Tensor
    total: Tensor

    @property
    def bytes(self) -> int:
        """What it takes to keep it."""
        return self.states.nbytes + self.last.nbytes + self.total.nbytes


@dataclass(frozen=True, slots=True)
class Prefix:
    """What B items begin with: prompt and text, padded, and the text's states read out.

    ``past`` is None where there is neither prompt nor text. ``lengths`` (B,) counts the tokens of
    the text; ``last`` and ``total`` (B, E) are zero where there are none.
    """

    past: Past | None
    lengths: Tensor
    last: Tensor
    total: Tensor


class PrefixCache:
    """Keys and values of one prompt and of the texts that follow it.

    Args:
        llm: the model; it must not be trained.
        prompt: its text.
        budget_mb: MB (10^6 bytes) that texts may take, in the precision and for the layers of the
            model, on its device.
    """

    def __init__(self, llm: LanguageModel, prompt: str, budget_mb: float) -> None:
        self.llm, self.budget = llm, budget_mb * 1e6
        self.kept: dict[bytes, Text] = {}
        self.used = 0
        self._unread: dict[bytes, None] = {}
        self._refused: dict[int, int] | None = {}  # bytes of texts, by their hash; None: said
        self.computed = 0
        """Texts that went through the model."""
        ids = torch.tensor(llm.tokens(prompt, start=True), device=llm.embeddings.device)
        self.prompt = self._prompt(ids) if len(ids) else None

    @torch.no_grad()
    def _prompt(self, ids: Tensor) -> Tensor:
        on = torch.ones(1, len(ids), dtype=torch.bool, device=ids.device)
        return self.llm.remember(self.llm.embed(ids)[None], on)[1]

    def begin(self) -> None:
        """Someone new reads: texts that are kept and not read from now on make room for others."""
        self._unread = dict.fromkeys(self.kept)
        self._refused = None if self._refused is None else {}

    @torch.no_grad()
    def read(self, ids: Tensor, mask: Tensor) -> Prefix:
        """The prefix of items whose text is the ids (B, T) that are on in ``mask`` (B, T)."""
        rows = zip(ids.int().cpu().numpy(), mask.cpu().numpy(), strict=True)
        texts = self._texts([row[on].tobytes() for row, on in rows])
        lengths = mask.sum(1)
        embeddings = self.llm.embeddings
        last, total = embeddings.new_zeros(2, len(ids), self.llm.width)
        for row, text in enumerate(texts):
            if text is not None:
                last[row], total[row] = text.last, text.total
        return Prefix(self._past(texts, lengths), lengths, last, total)

    def _past(self, texts: Sequence[Text | None], lengths: Tensor) -> Past | None:
        """The prompt's keys and values before each text's, padded on the right."""
        some = next((text.states for text in texts if text is not None), None)
        if self.prompt is None and some is None:
            return None
        first = 0 if self.prompt is None else self.prompt.shape[3]
        longest = max((text.states.shape[2] for text in texts if text is not None), default=0)
        like = some[:, None] if self.prompt is None and some is not None else self.prompt
        assert like is not None
        planes, _, heads, _, width = like.shape
        states = like.new_zeros(planes, len(texts), heads, first + longest, width)
        if self.prompt is not None:
            states[:, :, :, :first] = self.prompt
        for row, text in enumerate(texts):
            if text is not None:
                states[:, row, :, first : first + text.states.shape[2]] = text.states
        places = torch.arange(first + longest, device=lengths.device)
        return Past(states, places < first + lengths[:, None])

    def _texts(self, keys: Sequence[bytes]) -> list[Text | None]:
        """Each text by the bytes of its ids, from what is kept or computed now."""
        wanted = dict.fromkeys(key for key in keys if key)
        for key in wanted:
            self._unread.pop(key, None)
        found = {key: self.kept[key] for key in wanted if key in self.kept}
        new = self._computed([key for key in wanted if key not in found])
        for key, text in new.items():
            self._keep(key, text)
        found |= new
        return [found[key] if key else None for key in keys]

    def _keep(self, key: bytes, text: Text) -> None:
        while self.used + text.bytes > self.budget and self._unread:
            self.used -= self.kept.pop(self._unread.popitem()[0]).bytes
        if self.used + text.bytes <= self.budget:
            self.kept[key] = text
            self.used += text.bytes
        elif self._refused is not None:
            self._refuse(self._refused, hash(key), text.bytes)

    def _refuse(self, refused: dict[int, int], key: int, size: int) -> None:
        """Say, where a text is read again for the first time, what room all would have needed."""
        if key not in refused:
            refused[key] = size
            return
        count, needed = len(self.kept) + len(refused), self.used + sum(refused.values())
        print(
            f"fusion.cache_mb: {count:,} texts need about {needed / 1e6:,.1f} MB, cache_mb holds "
            f"{self.budget / 1e6:,.1f}: {len(refused):,} of them are read anew each time",
            file=sys.stderr,
        )
        self._refused = None

    def _computed(self, keys: Sequence[bytes]) -> dict[bytes, Text]:
        """Texts that are new, like lengths together.

        On a CPU one at a time: how many are read at once decides over the last bits of each, and
        these must not depend on which items shared a step (a run that is resumed, or follows
        another, ends with the same bits). It costs little there, and much on a GPU.
        """
        at_once = 1 if self.llm.embeddings.device.type == "cpu" else TEXTS_AT_ONCE
        ordered = sorted(keys, key=len)
        found: dict[bytes, Text] = {}
        for start in range(0, len(ordered), at_once):
            part = ordered[start : start + at_once]
            found |= zip(part, self._read(part), strict=True)
        return found

    def _read(self, keys: Sequence[bytes]) -> list[Text]:
        self.computed += len(keys)
        device = self.llm.embeddings.device
        texts = [torch.from_numpy(np.frombuffer(key, np.int32).copy()) for key in keys]
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True).long().to(device)
        lengths = torch.tensor([len(text) for text in texts], device=device)
        on = torch.arange(ids.shape[1], device=device) < lengths[:, None]
        past = self._past([None] * len(keys), torch.zeros_like(lengths))
        hidden, states = self.llm.remember(self.llm.embed(ids), on, past)
        return [
            Text(
                states[:, row, :, :length].clone(),
                hidden[row, length - 1].clone(),  # a view would keep all states
                hidden[row, :length].sum(0),
            )
            for row, length in enumerate(lengths.tolist())
        ]


@lru_cache(maxsize=2)
def shared_cache(
    model: str,
    layers: int | None,
    dtype: Precision,
    device: str,
    prompt: str,
    budget_mb: float,
    threads: int,
) -> PrefixCache:
    """The cache of a shared model, for all runs of this process; other threads, other bits."""
    return PrefixCache(shared(model, layers, dtype, device), prompt, budget_mb)
