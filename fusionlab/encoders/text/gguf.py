"""Models in a gguf file (llama.cpp), converted once to safetensors."""

from __future__ import annotations

import sys
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch

from fusionlab.encoders.sources import cache_folder, made_once
from fusionlab.errors import FusionlabError

ABOUT = "half a minute for 135 million weights"


def gguf_file(path: Path) -> Path | None:
    """The gguf file that ``path`` is, or that lies in a folder without another model."""
    if path.suffix == ".gguf":
        return path
    found = sorted(path.glob("*.gguf"))
    if not found or (path / "config.json").exists():
        return None
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise FusionlabError(f"model: found several models in {path}, name one of: {names}")
    return found[0]


def converted(file: Path) -> Path:
    """A folder with the model in half precision and its tokenizer, in the cache.

    It is named by the file's content and the version of the library that reads it; half a minute
    for 135 million weights, and nothing when it is there already. Says on stderr that it begins.
    """
    import transformers

    with file.open("rb") as content:
        name = f"{file_digest(content, 'sha256').hexdigest()[:32]}-{transformers.__version__}"
    return made_once(cache_folder() / "gguf" / name, lambda folder: _convert(file, folder))


def _convert(file: Path, folder: Path) -> None:
    print(f"converting {file.name} to safetensors, once: {ABOUT}", file=sys.stderr)
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    try:
        from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

        here: dict[str, Any] = {"gguf_file": file.name}
        config = AutoConfig.from_pretrained(file.parent, **here)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        read = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model)
    except ImportError as error:
        raise FusionlabError(
            f"model: {file.name} needs the package gguf: pip install "
            f"'fusionlab-recsys[offline-models]' ({error})"
        ) from error
    lacking, unknown = model.load_state_dict(read["tensors"], strict=False)
    tied = set(model.all_tied_weights_keys)
    if set(lacking) - tied or unknown:
        raise FusionlabError(
            f"model: {file} holds other weights than its architecture {config.model_type!r} has: "
            f"without {sorted(set(lacking) - tied)}, unknown {unknown}"
        )
    model.half().save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, **here).save_pretrained(folder)
