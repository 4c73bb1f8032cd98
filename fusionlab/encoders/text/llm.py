"""Texts by the hidden states of a causal language model."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.encoders.contract import ENCODERS, Batch
from fusionlab.encoders.text.loading import Precision
from fusionlab.encoders.text.pretrained import PretrainedText, Tokenise, masked_mean
from fusionlab.errors import FusionlabError

TEXT = "{text}"


@ENCODERS.register("text_llm")
class TextLlm(PretrainedText):
    """Hidden states of a causal language model (Llama, Qwen, SmolLM, ...) as features.

    x = h_n, the state of the last token, which has read all others;  or the mean of h_t over the
    tokens of the text, those of the prompt left out

    h are the states after the last layer in use, through the model's final normalisation. Middle
    layers often serve better than the last, which is bent to the next token; ``layers`` chooses
    one, and what is above is not computed.

    Options:
        model: name on the Hugging Face hub, folder, gguf file, or package:NAME of an installed
            package; gguf is converted once, into the cache folder
        pooling: the "last" token, or the "mean" of the text's
        prompt: what the model reads; {text} stands for the text
        layers: use only the first so many layers
        max_length: tokens read, the prompt's among them; a text that is longer is cut
        dtype: of the weights and the computation
        normalise: bring every vector to length one

    Source: prompts that ask for one word, read at the last token: Jiang et al. 2023, Scaling
        sentence embeddings with large language models.
    """

    def __init__(
        self,
        *,
        model: str = "HuggingFaceTB/SmolLM2-135M-Instruct",
        pooling: Literal["last", "mean"] = "last",
        prompt: str = TEXT,
        layers: PositiveInt | None = None,
        max_length: PositiveInt = 256,
        dtype: Precision = "float32",
        normalise: bool = False,
    ) -> None:
        super().__init__(model, layers, dtype)
        self.check_length(max_length)
        self.pooling, self.normalise = pooling, normalise
        self.spec = FeatureSpec(self.width)
        before, after = self._around(prompt)
        if len(before) + len(after) >= max_length:
            raise FusionlabError(
                f"encoder {self.name!r}: the prompt has {len(before) + len(after)} tokens, "
                f"expected fewer than max_length, {max_length}"
            )
        self.before, self.after = len(before), len(after)
        self.prepare = Tokenise(self.tokenizer, max_length, (before, after))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, 1, d); every item is on."""
        hidden = self.model(**batch, use_cache=False).last_hidden_state
        lengths = batch["attention_mask"].sum(1, keepdim=True)
        if self.pooling == "last":
            rows = torch.arange(len(hidden), device=hidden.device)
            values = hidden[rows, lengths[:, 0] - 1].float()
        else:
            place = torch.arange(hidden.shape[1], device=hidden.device)
            values = masked_mean(hidden, (place >= self.before) & (place < lengths - self.after))
        if self.normalise:
            values = F.normalize(values, dim=-1)
        return values[:, None], values.new_ones(len(values), 1, dtype=torch.bool)

    def _around(self, prompt: str) -> tuple[list[int], list[int]]:
        """The tokens before and after the text, those that the tokenizer adds among them."""
        if prompt.count(TEXT) != 1:
            raise FusionlabError(
                f"encoder {self.name!r}: prompt: found {prompt!r}, expected {TEXT} in it once"
            )
        own = self.tokenizer("").input_ids
        start = [token for token in own if token == self.tokenizer.bos_token_id]
        end = [token for token in own if token != self.tokenizer.bos_token_id]
        before, after = (
            self.tokenizer(part, add_special_tokens=False).input_ids for part in prompt.split(TEXT)
        )
        return [*start, *before], [*after, *end]
