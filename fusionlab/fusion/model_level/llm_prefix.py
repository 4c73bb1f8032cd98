"""A language model that reads an item: its text as text, other modalities as soft tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
from fusionlab.fusion.text_read_out import TextReadOut
from fusionlab.llm.model import LanguageModel
from fusionlab.llm.reader import FrozenReader, Reader, Reading, TrainedReader

PROMPT = "What follows describes an item, to recommend it to people who will like it:\n"


@FUSIONS.register("llm_prefix")
class LlmPrefix(Fusion):
    """A language model reads prompt, item text and a few soft tokens of every other modality.

    u_m = RMSNorm(P_m(x_m)) + e_m  (n vectors),  h = LLM([prompt; text; u_1; ...; u_M])
    v = W_t norm((r(h_text) - mean) / deviation) + W_s norm(r(h_soft)),  r: the last state or the
    mean;  a query at the end is read as the last of the soft tokens

    Modalities of token ids (encoder `text_tokens` with the same model) are the text, one after the
    other; all others become soft tokens by a projector of their own. Text comes first, so its
    states are those of the text alone, and soft tokens are read in the light of it. Both are read
    out: what the text says would else be lost beside what the last soft token is. A modality that
    is missing contributes no token and leaves no hole: positions count what is there.

    The model is frozen (its weights are not in the state, and one copy serves all runs of a
    process), so keys and values of the prompt are computed once and those of a text when it is
    first read; each step computes soft tokens alone. With LoRA its attention and feed-forward maps
    are trained too, nothing can be kept, and each step reads everything. A good
    ``training.learning_rate``, which is that of projectors, is about 1e-3.

    With ``align_epochs`` the projectors are first trained, on train items, so that the state of the
    soft tokens alone picks out, among other items of a batch, the frozen model's own state of the
    item's text (InfoNCE); then to recommend. What LoRA trains stays as it is meanwhile.

    Complexity: O(sum_m (T_m + D) d_m + n M D E + L n M (E^2 + S E)) an item, with E, the width of
    the model, and S, the tokens that prompt, text and soft tokens come to; each text once besides,
    O(L S (E^2 + S E)), and memory for 2 L numbers a token of text and unit of its keys.

    Options:
        model: name on the Hugging Face hub, folder, gguf file, or package:NAME of an installed
            package; "tiny" is a small random model for trials
        prompt: what the model reads first
        projector: linear, mlp (two layers), or resampler (queries that read a modality's tokens)
        tokens: n, how many soft tokens a modality has
        read_out: of text and of soft tokens the "last" token's state, or their "mean"; "query" is
            the last, and a learned token ends all
        layers: L, how many of the model's first layers are used; default: all
        dtype: of the model's weights, computation and kept keys and values
        lora_rank: train low-rank changes of this rank (needs peft); 0: frozen
        lora_learning_rate: of these changes
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
        read_out: Literal["last", "mean", "query"] = "mean",
        layers: PositiveInt | None = None,
        dtype: Precision = "float32",
        lora_rank: NonNegativeInt = 0,
        lora_learning_rate: PositiveFloat = 2e-4,
        cache_mb: PositiveFloat = 2048.0,
        batch: PositiveInt = 64,
        checkpointing: bool = False,
        align_epochs: NonNegativeInt = 0,
    ) -> None:
        super().__init__(specs, dim)
        self.read_out, self.batch, self.checkpointing = read_out, batch, checkpointing
        self.align_epochs = align_epochs
        self.alignment_losses: list[float] = []
        """The mean loss of each epoch of alignment; chance is about the log of 64."""
        self.texts = [name for name, spec in specs.items() if spec.vocabulary]
        soft = {name: spec for name, spec in specs.items() if not spec.vocabulary}
        self._reader: Reader = (
            TrainedReader(model, layers, dtype, prompt, lora_rank)
            if lora_rank
            else FrozenReader(model, layers, dtype, prompt, cache_mb)
        )
        self.lora, llm = self._reader.lora, self._reader.llm
        self.lora_learning_rate = lora_learning_rate
        _check_vocabulary(llm, specs)
        _check_length(llm, prompt, specs, tokens * len(soft) + (read_out == "query"))
        marks = {name: _mark(llm, name) for name in soft}
        self.soft = SoftTokens(projector, soft, tokens, dim, marks, llm.norm)
        width = llm.width
        self.text = TextReadOut(width, dim) if self.texts else None
        self.query = (
            nn.Parameter(torch.randn(width) * llm.norm / width**0.5)
            if read_out == "query"
            else None
        )
        heard = bool(soft) or self.query is not None
        self.heard = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim)) if heard else None

    @classmethod
    def content_id(cls, options: Any) -> str:
        """A hash of the model's files."""
        return content_of(options.model)

    @property
    def device(self) -> torch.device:
        """Where the strategy is."""
        return next(self.parameters()).device

    @property
    def llm(self) -> LanguageModel:
        """The language model; it is no part of the state."""
        return self._reader.llm

    def own_rates(self) -> Iterator[tuple[Iterable[nn.Parameter], float]]:
        """What LoRA trains, and its learning rate."""
        if self.lora:
            yield self.lora.parameters(), self.lora_learning_rate

    def fit(self, items: ItemFeatures) -> None:
        """Standardise what is read of texts; align the projectors with it, if asked to."""
        if not self.texts:
            return
        device = next(iter(items.mask.values())).device
        self.to(device)
        assert self.text is not None
        written = items.take(self._any(items, self.texts).nonzero()[:, 0])
        with torch.no_grad():
            self.text.fit(self.states(written.only(self.texts))[:, 0])
        if self.align_epochs and self.soft.mark:
            # Of either side one part is there, the other zero.
            self.alignment_losses = align(
                lambda some: self.states(some).sum(1),
                self._before_the_model(),
                items,
                self.texts,
                self.align_epochs,
            )

    def _before_the_model(self) -> list[nn.Parameter]:
        """What makes the vectors that the model reads."""
        return [*self.soft.parameters(), *([] if self.query is None else [self.query])]

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Read the items that have anything, those of like lengths together."""
        present = torch.stack([self._present(items, name) for name in self.specs], 1)
        rows = present.any(1).nonzero()[:, 0]
        some = items.take(rows)
        dtype = next(self.parameters()).dtype
        written, heard = self.states(some).to(dtype).unbind(1)
        views = written.new_zeros(len(rows), self.dim)
        if self.text is not None:
            views = views + clean(self.text(written), self._any(some, self.texts))
        if self.heard is not None:
            said = self._any(some, self.soft.mark) | (self.query is not None)
            views = views + clean(self.heard(heard), said)
        whole = views.new_zeros(len(items), self.dim).index_copy(0, rows, views)
        return one_view(whole, present)

    @torch.no_grad()
    def soft_tokens(self, items: ItemFeatures) -> list[Tensor]:
        """Of each item the vectors (S, E) that stand after its text; none of what it lacks."""
        if not self.soft.mark:
            return [self.llm.embeddings.new_zeros(0, self.llm.width)] * len(items)
        tokens, there = (torch.cat(parts, 1) for parts in self.soft(items))
        return [some[on] for some, on in zip(tokens, there, strict=True)]

    def states(self, items: ItemFeatures) -> Tensor:
        """What is read out of text and of what follows it (B, 2, E); zero where there is none."""
        order = self._lengths(items).argsort(stable=True)
        step: Callable[[ItemFeatures], Tensor] = self._read
        if self.checkpointing and torch.is_grad_enabled():
            step = _recomputed(self._read)
        if not len(order):
            return self.llm.embeddings.new_zeros(0, 2, self.llm.width)
        parts = [step(items.take(rows)) for rows in order.split(self.batch)]
        return torch.cat(parts).index_select(0, order.argsort())

    def _any(self, items: ItemFeatures, names: Iterable[str]) -> Tensor:
        found = [self._present(items, name) for name in names]
        return torch.stack(found, 1).any(1) if found else self._present(items, "")

    def _lengths(self, items: ItemFeatures) -> Tensor:
        """(B,) tokens of each item; those of its text decide first."""
        length = torch.zeros(len(items), dtype=torch.long, device=self.device)
        for name in self.texts:
            if name in items.mask:
                length += items.mask[name].sum(1) * (len(self.specs) + 1)
        for name in self.soft.mark:
            length += self._present(items, name)
        return length

    def _present(self, items: ItemFeatures, name: str) -> Tensor:
        if name in items.mask:
            return items.present(name)
        return torch.zeros(len(items), dtype=torch.bool, device=self.device)

    def _read(self, items: ItemFeatures) -> Tensor:
        """The states (B, 2, E) of one call's items."""
        tokens, there = self.soft(items)
        if self.query is not None:
            tokens.append(self.query.expand(len(items), 1, -1))
            there.append(torch.ones_like(items.present(items.modalities[0]))[:, None])
        text = [(items.values[n][..., 0], items.mask[n]) for n in self.texts if n in items.values]
        reading = self._reader.read(text, list(zip(tokens, there, strict=True)))
        return torch.stack(_mean(reading) if self.read_out == "mean" else _last(reading), 1)

    def _apply(self, fn: Any, recurse: bool = True) -> LlmPrefix:
        """Where the strategy moves, the model follows; its type is an option of its own."""
        super()._apply(fn, recurse)
        self._reader.to(self.device)
        return self


def _last(reading: Reading) -> tuple[Tensor, Tensor]:
    if not reading.there.shape[1]:
        return reading.last, torch.zeros_like(reading.last)
    return reading.last, last_token(reading.hidden, reading.there)


def _mean(reading: Reading) -> tuple[Tensor, Tensor]:
    text = reading.total / reading.before.clamp(min=1)[:, None]
    heard = clean(reading.hidden, reading.there).sum(1)
    return text, heard / reading.there.sum(1).clamp(min=1)[:, None]


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
