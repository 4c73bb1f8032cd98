"""Texts as the token ids of a language model, for strategies that read text themselves."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Medium
from fusionlab.encoders.contract import ENCODERS, Batch, Encoder, Sample
from fusionlab.encoders.text.loading import (
    OFFLINE_LLM,
    explained,
    found_at,
    load_tokenizer,
    quiet,
    source_hash,
)
from fusionlab.encoders.text.pretrained import Tokenise, padded


@ENCODERS.register("text_tokens")
class TextTokens(Encoder):
    """The ids that a language model's tokenizer gives a text; no weights of the model are loaded.

    x_t = the number of the t-th piece of the text, t <= max_length, without special tokens

    Only a strategy that reads text itself (`llm_prefix`) sees such a modality; beside it, others
    are trained on the modalities that are vectors.

    Options:
        model: whose tokenizer it is: name on the Hugging Face hub, folder, gguf file, or
            package:NAME of an installed package; the same as the strategy's
        max_length: tokens kept; a text that is longer is cut
    """

    medium = Medium.TEXT

    def __init__(
        self,
        *,
        model: str = "HuggingFaceTB/SmolLM2-135M-Instruct",
        max_length: PositiveInt = 64,
    ) -> None:
        super().__init__()
        with explained(f"encoder {self.name!r}: ", model, OFFLINE_LLM), quiet():
            tokenizer = load_tokenizer(found_at(model))
        self._source_id = source_hash(tokenizer)
        self.spec = FeatureSpec(1, max_length, len(tokenizer))
        self.prepare = Tokenise(tokenizer, max_length, ([], []))

    def source_id(self) -> str:
        """A hash of the tokenizer, wherever it was found."""
        return self._source_id

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """``input_ids`` and ``attention_mask`` (B, L), padded on the right."""
        return padded(samples)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Ids (B, L, 1) int32, and which are on."""
        return batch["input_ids"][..., None].int(), batch["attention_mask"].bool()
