"""Texts by a pretrained bidirectional transformer."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.encoders.contract import ENCODERS, Batch
from fusionlab.encoders.text.pretrained import PretrainedText, Tokenise, masked_mean


@ENCODERS.register("text_transformer")
class TextTransformer(PretrainedText):
    """The last hidden states of a transformer encoder: BERT, MiniLM, RoBERTa, T5's encoder, ...

    x = mean_t h_t;  or x = h_1 (cls);  or all of h_1, ..., h_T

    h_t belong to the text's tokens and to those that the tokenizer adds ([CLS], [SEP]).

    Options:
        model: name on the Hugging Face hub, folder, or package:NAME of an installed package
        pooling: "mean" of all tokens, "cls": the first one, or all "tokens" (T = max_length)
        max_length: tokens read of a text; what is longer is cut
        layers: use only the first so many layers
        normalise: bring every vector to length one

    Source: Devlin et al. 2019, BERT; mean pooling as in Reimers and Gurevych 2019, Sentence-BERT.
    """

    def __init__(
        self,
        *,
        model: str = "sentence-transformers/all-MiniLM-L6-v2",
        pooling: Literal["mean", "cls", "tokens"] = "mean",
        max_length: PositiveInt = 256,
        layers: PositiveInt | None = None,
        normalise: bool = False,
    ) -> None:
        super().__init__(model, layers)
        self.check_length(max_length)
        self.pooling, self.normalise = pooling, normalise
        self.spec = FeatureSpec(self.width, max_length if pooling == "tokens" else 1)
        self.prepare = Tokenise(self.tokenizer, max_length)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, 1, d), or (B, L, d) with the mask of the L tokens of the longest text."""
        on = batch["attention_mask"].bool()
        values = self.model(**batch).last_hidden_state
        if self.pooling == "mean":
            values = masked_mean(values, on)[:, None]
        elif self.pooling == "cls":
            values = values[:, :1]
        if self.pooling != "tokens":
            on = on[:, :1]  # the first token is never padding
        return F.normalize(values, dim=-1) if self.normalise else values, on
