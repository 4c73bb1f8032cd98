"""A causal language model that reads what comes next after something it has read once."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fusionlab.encoders.text.loading import Precision
from fusionlab.llm.model import LanguageModel, load


@dataclass(frozen=True)
class Read:
    """What a model has read: its keys and values, and the logits (V,) of the token that follows.

    No method of `CausalLm` changes it, so one reading serves any number of continuations.
    """

    cache: Any
    logits: Tensor
    length: int


class CausalLm(LanguageModel):
    """A language model that says how likely a text is after what it has read."""

    @torch.no_grad()
    def read(self, vectors: Tensor) -> Read:
        """Read one sequence of vectors (T, E), T at least 1."""
        out = self.causal(inputs_embeds=vectors[None], use_cache=True, logits_to_keep=1)
        cache = getattr(out, self._past)
        return Read(cache, out.logits[0, -1].float(), len(vectors))

    @torch.no_grad()
    def log_likelihoods(self, read: Read, texts: list[list[int]]) -> Tensor:
        """(C,) means of log p(token | what was read, the tokens before it) over each text's tokens.

        All C texts, none empty, are read at once, each as if alone after ``read``.
        """
        device = self.embeddings.device
        ids = pad_sequence([torch.tensor(text) for text in texts], batch_first=True).to(device)
        lengths = torch.tensor([len(text) for text in texts], device=device)
        on = torch.arange(ids.shape[1], device=device) < lengths[:, None]
        logits = read.logits.expand(len(ids), 1, -1)
        if ids.shape[1] > 1:
            before = torch.ones(len(ids), read.length, dtype=torch.long, device=device)
            out = self.causal(
                input_ids=ids[:, :-1],
                attention_mask=torch.cat([before, on[:, :-1].long()], 1),
                use_cache=True,
                **{self._past: _for(len(ids), read.cache)},
            )
            logits = torch.cat([logits, out.logits.float()], 1)
        taken = logits.gather(2, ids[..., None])[..., 0] - logits.logsumexp(2)
        return torch.where(on, taken, 0).sum(1) / on.sum(1)


def _for(count: int, cache: Any) -> Any:
    """A cache of ``count`` equal rows that share the memory of the one row of ``cache``.

    A forward binds longer keys and values to the layers of the cache it is given; the layers are
    copied, so those of the original keep theirs.
    """
    rows = copy.copy(cache)
    rows.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in rows.layers:
        layer.keys = layer.keys.expand(count, -1, -1, -1)
        layer.values = layer.values.expand(count, -1, -1, -1)
    return rows


def load_causal_lm(model: str, dtype: Precision = "float32") -> CausalLm:
    """`load` the whole of a model; its messages begin with ``model:``."""
    found = load(model, dtype=dtype, key="")
    return CausalLm(found.causal, found.tokenizer, found.name)
