"""A tiny random language model, so that what needs one can be tried and tested in no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fusionlab.encoders.sources import cache_folder, made_once

TINY = "tiny"
"""What it is called in place of a hub's name."""
WIDTH, LAYERS, HEADS = 32, 3, 4


def tiny_folder() -> Path:
    """The folder of a Llama of 3 layers that reads bytes, in the cache; it is written once."""
    import transformers

    return made_once(cache_folder() / f"{TINY}-{transformers.__version__}", write_tiny)


def write_tiny(folder: Path) -> None:
    """A random Llama and a tokenizer of bytes as a hub would hold them; always the same weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        max_position_embeddings=512,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def byte_tokenizer() -> Any:
    """A tokenizer whose tokens are the 256 bytes and an end of text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({byte: row for row, byte in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>", model_max_length=512
    )
