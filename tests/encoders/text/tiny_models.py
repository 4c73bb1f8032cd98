"""Small random transformers with a small tokenizer, saved as a hub would hold them."""

import torch

WORDS = [
    "a",
    "the",
    "red",
    "blue",
    "dog",
    "cat",
    "bird",
    "sleeps",
    "runs",
    "barks",
    "over",
    "house",
]


def save_tokenizer(folder, specials, template=None):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: row for row, word in enumerate([*specials.values(), *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=specials["unk_token"]))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        backend.post_processor = processors.TemplateProcessing(
            single=template,
            special_tokens=[(token, vocabulary[token]) for token in specials.values()],
        )
    PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=64, **specials
    ).save_pretrained(folder)
    return len(vocabulary)


def tiny_bert(folder, seed=0, **config):
    from transformers import BertConfig, BertModel

    specials = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    size = save_tokenizer(folder, specials, "[CLS] $A [SEP]")
    torch.manual_seed(seed)
    BertModel(
        BertConfig(
            vocab_size=size,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.5,
            **config,
        )
    ).save_pretrained(folder)
    return str(folder)


def tiny_llama(folder, seed=0):
    from transformers import LlamaConfig, LlamaForCausalLM

    specials = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    size = save_tokenizer(folder, specials, "<s> $A")
    torch.manual_seed(seed)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
    ).save_pretrained(folder)
    return str(folder)


def encode(encoder, texts):
    """Features and mask of some texts in one batch."""
    with torch.no_grad():
        return encoder(encoder.collate([encoder.prepare(text) for text in texts]))
