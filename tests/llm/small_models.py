"""Small random language models, and what tests read with them."""

import torch

from fusionlab.encoders.text.tiny import byte_tokenizer
from fusionlab.llm.model import load


def write_gpt2(folder, rows=None):
    """A random GPT-2 of 3 layers that reads bytes: positions are learned, maps are transposed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=rows or len(tokenizer),
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=512,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_gemma(folder):
    """A random Gemma 3, whose embedding scales."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    Gemma3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_bert(folder):
    """A random BERT with an output layer, which transformers loads as a causal model."""
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_deepseek(folder):
    """A random DeepSeek V3 without experts, whose keys are wider than its values."""
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = DeepseekV3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        first_k_dense_replace=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        q_lora_rank=8,
        kv_lora_rank=8,
        qk_rope_head_dim=4,
        qk_nope_head_dim=8,
        v_head_dim=8,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=None,
    )
    DeepseekV3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def exact(model, layers=None):
    """The model in float64, so that only a mistake can show."""
    llm = load(model, layers)
    llm.causal.double()
    return llm


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ids(*shape, seed=0):
    return torch.randint(0, 250, shape, generator=torch.Generator().manual_seed(seed))


def on(*lengths, width=None):
    """Padding on the right, by lengths."""
    return torch.arange(width or max(lengths)) < torch.tensor(lengths)[:, None]
