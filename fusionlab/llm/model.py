"""A causal language model that reads vectors in place of tokens, after what it has read before.

Shapes: B sequences, T tokens, E the width of the model, L its layers, H heads of keys, W their
width.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fusionlab.data.fingerprint import fingerprint
from fusionlab.encoders.text.loading import (
    OFFLINE_LLM,
    Precision,
    explained,
    found_at,
    load_causal,
    load_tokenizer,
    quiet,
)
from fusionlab.errors import FusionlabError

BLOCK = 4096
"""Tokens embedded at once."""
PADDED = 1.05
"""So many times the tokens of its tokenizer (and 128) a model may have vectors: in those published,
whose numbers are rounded up, up to 1.024 times."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a model has read: keys and values (2 L, B, H, T, W), a layer's keys before its values,
    and which tokens are on (B, T). No forward changes them."""

    states: Tensor
    mask: Tensor


class LanguageModel:
    """A causal language model with its tokenizer, frozen and in evaluation mode.

    It is no module, so that a strategy which holds one neither trains nor saves its weights;
    `to` moves it.

    Args:
        causal: the model with its output layer, of transformers.
        tokenizer: of the model.
        name: what it was loaded by, for messages.
    """

    def __init__(self, causal: Any, tokenizer: Any, name: str = "") -> None:
        self.causal, self.tokenizer, self.name = (
            causal.requires_grad_(False).eval(),
            tokenizer,
            name,
        )
        self.base = causal.base_model
        arguments = inspect.signature(self.base.forward).parameters
        if "position_ids" not in arguments:
            raise FusionlabError(
                f"model: {name!r} takes no position_ids, so tokens cannot be left out without a "
                "hole; expected a model such as Llama, Qwen, Gemma, Mistral or GPT-2"
            )
        self._past = "cache" if "cache" in arguments else "past_key_values"  # older transformers

    def __deepcopy__(self, memo: dict[int, Any]) -> LanguageModel:
        """A copy shares the frozen weights; what LoRA adds and trains is its own."""
        memo |= {id(p): p for p in self.causal.parameters() if not p.requires_grad}
        found = memo[id(self)] = copy(self)
        found.__dict__ = deepcopy(self.__dict__, memo)
        return found

    @property
    def embeddings(self) -> Tensor:
        """The vectors of the vocabulary's tokens (rows, E)."""
        weight: Tensor = self.causal.get_input_embeddings().weight
        return weight

    @property
    def width(self) -> int:
        """E, of embeddings and hidden states."""
        return self.embeddings.shape[1]

    @property
    def norm(self) -> float:
        """The mean length of the vocabulary's tokens as they are embedded: some models (Gemma)
        scale them."""
        rows = torch.arange(len(self.embeddings)).split(BLOCK)
        lengths = [self.embed(some).detach().float().norm(dim=1) for some in rows]
        return torch.cat(lengths).mean().item()

    @property
    def longest(self) -> int | None:
        """How many tokens it can read; None where nothing is said."""
        config = self.causal.config.get_text_config()
        return getattr(config, "max_position_embeddings", None)

    def to(self, device: torch.device | str) -> LanguageModel:
        """Move the weights."""
        self.causal.to(device)
        return self

    def tokens(self, text: str, *, start: bool = False) -> list[int]:
        """The ids of a text; with ``start`` after the token that begins every sequence, if the
        tokenizer has one."""
        begin = [t for t in self.tokenizer("").input_ids if t == self.tokenizer.bos_token_id]
        found: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return [*begin, *found] if start else found

    def embed(self, ids: Tensor | list[int]) -> Tensor:
        """Vectors (..., E) of token ids (...)."""
        at = torch.as_tensor(ids, dtype=torch.long, device=self.embeddings.device)
        found: Tensor = self.causal.get_input_embeddings()(at)
        return found

    def states(self, tokens: Tensor, mask: Tensor, past: Past | None = None) -> Tensor:
        """The last layer's states (B, T, E), normalised, of vectors (B, T, E) read after ``past``.

        Positions count only what is on in ``mask`` (B, T), wherever it stands: tokens that are off
        are as if never there.
        """
        return self._read(tokens, mask, past)[0]

    def remember(self, tokens: Tensor, mask: Tensor, past: Past | None = None) -> tuple[Any, Any]:
        """The states (B, T, E), and the keys and values (2 L, B, H, T, W) of these tokens alone."""
        hidden, layers = self._read(tokens, mask, past)
        count = tokens.shape[1]
        kept = [x[:, :, -count:] for layer in layers for x in (layer.keys, layer.values)]
        if len({x.shape for x in kept}) > 1:
            raise FusionlabError(
                f"fusion.model: the layers of {self.name!r} keep keys and values of different "
                "shapes, which cannot be stored; expected a model with one shape for all, such as "
                "Llama, Qwen, Mistral or GPT-2"
            )
        return hidden, torch.stack(kept)

    def _read(self, tokens: Tensor, mask: Tensor, past: Past | None) -> tuple[Tensor, Any]:
        from transformers import DynamicCache

        cache = DynamicCache()  # a forward appends to it, so it is a new one each time
        whole = mask
        if past is not None:
            whole = torch.cat([past.mask, mask], 1)
            for layer, (keys, values) in enumerate(past.states.unflatten(0, (-1, 2))):
                cache.update(keys, values, layer)
        positions = (whole.cumsum(1) - 1).clamp(min=0)[:, whole.shape[1] - mask.shape[1] :]
        # Its precision is its own: what is kept of a text must not depend on who reads it.
        with torch.autocast(tokens.device.type, enabled=False), _out_of_memory(len(tokens)):
            out = self.base(
                inputs_embeds=tokens.to(self.embeddings.dtype),
                attention_mask=whole.long(),
                position_ids=positions,
                use_cache=True,
                **{self._past: cache},
            )
        return out.last_hidden_state, cache.layers

    def fingerprint(self) -> str:
        """A hash of all weights; what LoRA adds and trains is left out."""
        trained = {name for name, p in self.causal.named_parameters() if p.requires_grad}
        state = {
            name.replace(".base_layer.", "."): weight  # where peft puts what it stands before
            for name, weight in self.causal.state_dict().items()
            if name not in trained
        }
        return fingerprint(part for name in sorted(state) for part in (name, state[name]))


def load(
    model: str, layers: int | None = None, dtype: Precision = "float32", key: str = "fusion."
) -> LanguageModel:
    """Load a model and its tokenizer, with its first ``layers``.

    Args:
        model: name on the Hugging Face hub, folder, gguf file (converted once, into the cache), or
            package:NAME of an installed package.
        layers: keep only the first so many; default: all.
        dtype: of the weights and the computation.
        key: what messages begin with.

    Raises:
        FusionlabError: no such model, a folder without weights, too few layers, or a tokenizer
            that has more tokens than the model has vectors, or far fewer; a model that is not
            causal.
    """
    with explained(key, model, OFFLINE_LLM), quiet():
        source = found_at(model)
        found = LanguageModel(
            load_causal(key, source, layers, dtype), load_tokenizer(source), model
        )
    tokens, rows = len(found.tokenizer), len(found.embeddings)
    if not tokens <= rows <= PADDED * tokens + 128:
        raise FusionlabError(
            f"{key}model: the tokenizer in {model!r} has {tokens:,} tokens, but the model vectors "
            f"for {rows:,}: the two are not of one model"
        )
    if not _reads_forward(found):
        raise FusionlabError(
            f"{key}model: {model!r} reads in both directions (its first state changes with the "
            "last token), so nothing it has read can be kept; expected a causal model such as "
            "Llama, Qwen, Gemma, Mistral or GPT-2"
        )
    return found


@torch.no_grad()
def _reads_forward(llm: LanguageModel) -> bool:
    """Is the state of a token that of a text that ends with it?"""
    tokens = llm.embed(torch.tensor([[0, 0], [0, 1]]))
    first = llm.states(tokens, torch.ones(2, 2, dtype=torch.bool))[:, 0].float()
    bound = max(1e-4, 4 * torch.finfo(tokens.dtype).eps) * first.abs().max()
    return bool((first[0] - first[1]).abs().max() <= bound)


@lru_cache(maxsize=2)
def shared(model: str, layers: int | None, dtype: Precision, device: str) -> LanguageModel:
    """`load` on a device; the latest two stay for all runs of this process. Never train them."""
    return load(model, layers, dtype).to(device)


@contextmanager
def _out_of_memory(sequences: int) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise FusionlabError(
            f"the GPU's memory does not hold {sequences} sequences in the language model at once: "
            "in training set training.pool or fusion.checkpointing=true (fusion.batch alone bounds "
            "nothing there), in evaluation lower fusion.batch; in both lower fusion.cache_mb or "
            f"fusion.layers, or set fusion.dtype=bfloat16 ({error})"
        ) from error
