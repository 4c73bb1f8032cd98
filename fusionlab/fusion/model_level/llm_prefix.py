"""A language model that reads an item: its text as text, other modalities as soft tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.encoders.sources import content_of
from fusionlab.encoders.text.loading import Precision
from fusionlab.encoders.text.tiny import TINY
from fusionlab.errors import FusionlabError
from fusionlab.fusion.alignment import align
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import clean, last_token
from fusionlab.fusion.projectors import SoftTokens
from fusionlab.llm.model import LanguageModel
from fusionlab.llm.reader import FrozenReader, Reader, Reading, TrainedReader

PROMPT = "What follows describes an item, to recommend it to people who will like it:\n"


@FUSIONS.register("llm_prefix")
class LlmPrefix(Fusion):
    """A language model reads prompt, item text and a few soft tokens of every other modality.

    u_m = RMSNorm(P_m(x_m)) + e_m  (n vectors),  h = LLM([prompt; text; u_1; ...; u_M])
    v = W norm(r(h)),  r: the last state; the mean over text and soft tokens; that of a query

    Modalities of token ids (encoder `text_tokens` with the same model) are the text, one after the
    other; all others become soft tokens by a projector of their own. A modality that is missing
    contributes no token and leaves no hole: positions count what is there. The model is frozen (its
    weights are not in the state, and one copy serves all runs of a process), so keys and values of
    the prompt are computed once and those of a text when it is first read; each step computes soft
    tokens alone. With LoRA its attention and feed-forward maps are trained too, nothing can be
    kept, and each step reads everything. The learning rate of projectors is about 1e-3, with LoRA
    2e-4.

    With ``align_epochs`` the projectors are first trained, on train items, so that the state of the
    soft tokens alone picks out, among other items of a batch, the frozen model's own state of the
    item's text (InfoNCE); then to recommend.

    Complexity: O(sum_m (T_m + D) d_m + n M D E + L n M (E^2 + S E)) an item, with E, the width of
    the model, and S, the tokens that prompt, text and soft tokens come to; each text once besides,
    O(L S (E^2 + S E)), and memory for 2 L numbers a token of text and unit of its keys.

    Options:
        model: name on the Hugging Face hub, folder, gguf file, or package:NAME of an installed
            package; "tiny" is a small random model for trials
        prompt: what the model reads first
        projector: linear, mlp (two layers), or resampler (queries that read a modality's tokens)
        tokens: n, how many soft tokens a modality has
        read_out: the "last" token's state, their "mean", or that of a learned "query" at the end
        layers: L, how many of the model's first layers are used; default: all
        dtype: of the model's weights, computation and kept keys and values
        lora_rank: train low-rank changes of this rank (needs peft); 0: frozen
        cache_mb: MB that kept keys and values of texts may take
        batch: items that go through the model at once, those of like lengths together
        checkpointing: keep no activations of the model for the backward pass, compute them again
        align_epochs: passes over the train items in which projectors are aligned first, where
            there is text and something to align with it

    Source: frozen models that read what another encoder sees: Tsimpoukelli et al. 2021, Multimodal
        few-shot learning with frozen language models; projectors: Liu et al. 2024, LLaVA-1.5;
        resampler: Alayrac et al. 2022, Flamingo.
    """

    level = Level.MODEL
    additive = False
    reads_tokens = True
    small: ClassVar[Mapping[str, Any]] = MappingProxyType({"model": TINY, "prompt": "Item:"})

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        model: str = "HuggingFaceTB/SmolLM2-135M-Instruct",
        prompt: str = PROMPT,
        projector: Literal["linear", "mlp", "resampler"] = "mlp",
        tokens: PositiveInt = 2,
        read_out: Literal["last", "mean", "query"] = "last",
        layers: PositiveInt | None = None,
        dtype: Precision = "float32",
        lora_rank: NonNegativeInt = 0,
        cache_mb: PositiveFloat = 2048.0,
        batch: PositiveInt = 64,
        checkpointing: bool = False,
        align_epochs: NonNegativeInt = 0,
    ) -> None:
        super().__init__(specs, dim)
        self.read_out, self.batch, self.checkpointing = read_out, batch, checkpointing
        self.align_epochs = align_epochs
        self.texts = [name for name, spec in specs.items() if spec.vocabulary]
        soft = {name: spec for name, spec in specs.items() if not spec.vocabulary}
        self._reader: Reader = (
            TrainedReader(model, layers, dtype, prompt, lora_rank)
            if lora_rank
            else FrozenReader(model, layers, dtype, prompt, cache_mb)
        )
        self.lora, llm = self._reader.lora, self._reader.llm
        _check_vocabulary(llm, specs)
        _check_length(llm, prompt, specs, tokens * len(soft) + (read_out == "query"))
        marks = {name: _mark(llm, name) for name in soft}
        self.soft = SoftTokens(projector, soft, tokens, dim, marks, llm.norm)
        width = llm.width
        self.query = (
            nn.Parameter(torch.randn(width) * llm.norm / width**0.5)
            if read_out == "query"
            else None
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, dim)

    @classmethod
    def content_id(cls, options: Any) -> str:
        """A hash of the model's files."""
        return content_of(options.model)

    @property
    def llm(self) -> LanguageModel:
        """The language model; it is no part of the state."""
        return self._reader.llm

    def modality_parameters(self, modality: str) -> Iterator[nn.Parameter]:
        """Those of its projector; text has none of its own."""
        if modality not in self.texts:
            yield from self.soft.parameters_of(modality)

    def fit(self, items: ItemFeatures) -> None:
        """Align the projectors with the text of train items, if asked to."""
        if self.align_epochs and self.texts and self.soft.mark:
            device = next(iter(items.mask.values())).device
            self.to(device)
            align(self.states, self.parameters(), items, self.texts, self.align_epochs)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Read the items that have anything, those of like lengths together."""
        present = torch.stack([self._present(items, name) for name in self.specs], 1)
        rows = present.any(1).nonzero()[:, 0]
        views = self.out(self.norm(self.states(items.take(rows)).to(self.norm.weight.dtype)))
        whole = views.new_zeros(len(items), self.dim).index_copy(0, rows, views)
        return one_view(whole, present)

    def states(self, items: ItemFeatures) -> Tensor:
        """What is read out of the model (B, E) for items that have something."""
        order = self._lengths(items).argsort(stable=True)
        step: Callable[[ItemFeatures], Tensor] = self._read
        if self.checkpointing and torch.is_grad_enabled():
            step = _recomputed(self._read)
        if not len(order):
            return self.llm.embeddings.new_zeros(0, self.llm.width)
        parts = [step(items.take(rows)) for rows in order.split(self.batch)]
        return torch.cat(parts).index_select(0, order.argsort())

    def _lengths(self, items: ItemFeatures) -> Tensor:
        """(B,) tokens of each item; those of its text decide first."""
        length = torch.zeros(len(items), dtype=torch.long, device=self.out.weight.device)
        for name in self.texts:
            if name in items.mask:
                length += items.mask[name].sum(1) * (len(self.specs) + 1)
        for name in self.soft.mark:
            length += self._present(items, name)
        return length

    def _present(self, items: ItemFeatures, name: str) -> Tensor:
        if name in items.mask:
            return items.present(name)
        return torch.zeros(len(items), dtype=torch.bool, device=self.out.weight.device)

    def _read(self, items: ItemFeatures) -> Tensor:
        """The states (B, E) of one call's items."""
        tokens, there = self.soft(items)
        if self.query is not None:
            tokens.append(self.query.expand(len(items), 1, -1))
            there.append(torch.ones_like(items.present(items.modalities[0]))[:, None])
        text = [(items.values[n][..., 0], items.mask[n]) for n in self.texts if n in items.values]
        reading = self._reader.read(text, list(zip(tokens, there, strict=True)))
        return _mean(reading) if self.read_out == "mean" else _last(reading)

    def _apply(self, fn: Any, recurse: bool = True) -> LlmPrefix:
        """Where the strategy moves, the model follows; its type is an option of its own."""
        super()._apply(fn, recurse)
        self._reader.to(self.out.weight.device)
        return self


def _last(reading: Reading) -> Tensor:
    if not reading.there.shape[1]:
        return reading.last
    found = last_token(reading.hidden, reading.there)
    return torch.where(reading.there.any(1, keepdim=True), found, reading.last)


def _mean(reading: Reading) -> Tensor:
    total = clean(reading.hidden, reading.there).sum(1) + reading.total
    return total / (reading.there.sum(1) + reading.before)[:, None]


def _recomputed(step: Callable[[ItemFeatures], Tensor]) -> Callable[[ItemFeatures], Tensor]:
    def run(items: ItemFeatures) -> Tensor:
        found: Tensor = checkpoint(step, items, use_reentrant=False, preserve_rng_state=False)
        return found

    return run


def _mark(llm: LanguageModel, name: str) -> Tensor:
    """The mean of the embeddings of the tokens of a modality's name."""
    ids = torch.tensor(llm.tokens(name), dtype=torch.long)
    return llm.embed(ids).mean(0).float()


def _check_vocabulary(llm: LanguageModel, specs: Mapping[str, FeatureSpec]) -> None:
    for name, spec in specs.items():
        if spec.vocabulary not in (0, len(llm.tokenizer)):
            raise FusionlabError(
                f"fusion.model: the tokenizer of {llm.name!r} has {len(llm.tokenizer):,} tokens, "
                f"but modality {name!r} holds ids of one with {spec.vocabulary:,}; expected "
                "encoder text_tokens with the same model as the strategy"
            )


def _check_length(
    llm: LanguageModel, prompt: str, specs: Mapping[str, FeatureSpec], soft: int
) -> None:
    text = sum(spec.tokens for spec in specs.values() if spec.vocabulary)
    found = len(llm.tokens(prompt, start=True)) + text + soft
    if llm.longest is not None and found > llm.longest:
        raise FusionlabError(
            f"fusion.model: {llm.name!r} reads {llm.longest} tokens, but prompt, text ({text}) and "
            f"soft tokens ({soft}) come to {found}; lower max_length of text_tokens"
        )
