"""For every built-in encoder, configurations of it that are small and need no network.

A value that is a `Folder` stands for the folder of a model that `model_folders` makes.
"""

import torch

from fusionlab.data.media import Medium
from tests.encoders.audio import sounds
from tests.encoders.image import pictures
from tests.encoders.text.tiny_models import tiny_bert, tiny_llama


class Folder(str):
    """The name of a model's folder."""


BERT, LLAMA, WAV2VEC, VOICE = map(Folder, ("bert", "llama", "wav2vec", "voice"))
SHORT = {"seconds": 2}
SMALL = {"size": 64}
RECIPES = {
    "audio_cnn": [{"width": 2}, {"width": 2, "pool": "tokens", "steps": {"seconds": 5}}],
    "audio_mfcc": [{}, {"pool": "tokens", "steps": SHORT}, {"deltas": True}],
    "audio_recurrent": [
        {"hidden": 6},
        {"hidden": 6, "cell": "gru", "bidirectional": True, "pool": "last"},
        {"hidden": 6, "layers": 2, "pool": "tokens", "steps": SHORT},
    ],
    "audio_transformer": [
        {"model": WAV2VEC, "steps": SHORT},
        {"model": WAV2VEC, "steps": SHORT, "pool": "tokens", "stride": 3},
    ],
    "audio_voice": [{"weights": VOICE}, {"weights": VOICE, "steps": {"seconds": 3}}],
    "image_timm": [
        {"model": "resnet10t", "pretrained": False, "steps": SMALL},
        {"model": "resnet10t", "pretrained": False, "steps": SMALL, "output": "tokens"},
        {"model": "vit_tiny_patch16_224", "pretrained": False, "steps": SMALL},
    ],
    "image_torchvision": [
        {"model": "squeezenet1_1", "pretrained": False, "steps": SMALL},
        {"model": "resnet18", "pretrained": False, "steps": SMALL, "output": "tokens"},
    ],
    "pixels": [{"side": 8}, {"side": 8, "patch": 4}, {"side": 8, "steps": {"color": "grey"}}],
    "text_llm": [
        {"model": LLAMA, "max_length": 16},
        {"model": LLAMA, "max_length": 16, "pooling": "mean", "prompt": "the {text} runs"},
    ],
    "text_tokens": [{"model": LLAMA, "max_length": 5}, {"model": LLAMA, "max_length": 3}],
    "text_transformer": [
        {"model": BERT, "max_length": 16},
        {"model": BERT, "max_length": 16, "pooling": "cls", "normalise": True},
        {"model": BERT, "max_length": 16, "pooling": "tokens"},
    ],
    "tfidf": [{"width": 3, "min_items": 1}, {"width": 4, "min_items": 1, "ngrams": 2}],
}
NEEDS = {"tfidf": ("spacy", "jieba")}
"""Packages that are no dependency."""


def model_folders(root):
    """Small random models, saved as their users find them, by name."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    found = {name: root / name for name in (BERT, LLAMA, WAV2VEC, VOICE)}
    for folder in found.values():
        folder.mkdir()
    tiny_bert(found[BERT])
    tiny_llama(found[LLAMA])
    torch.manual_seed(0)
    # no fewer channels a group: torch 2.14's bfloat16 convolution of few is wrong on CPUs with AMX
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(16, 16, 16),
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=1,
    )
    Wav2Vec2Model(config).save_pretrained(found[WAV2VEC])
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(found[WAV2VEC])
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    state = {f"lstm.{name}": x for name, x in lstm.state_dict().items()}
    state |= {f"linear.{name}": x for name, x in linear.state_dict().items()}
    torch.save({"model_state": state}, found[VOICE] / "pretrained.pt")
    return found


def good_items(medium):
    """Five items that no two encoders may take for one another, of different sizes."""
    if medium is Medium.TEXT:
        return ["red dog", "the blue cat runs over a red house", "bird", "a dog barks", "the cat"]
    if medium is Medium.IMAGE:
        sizes = [(48, 40), (64, 64), (30, 90), (200, 50), (33, 31)]
        return [pictures.encoded(pictures.noise(*size, seed=k)) for k, size in enumerate(sizes)]
    waves = [sounds.chirp(0.7), sounds.sine(seconds=1.9), sounds.noise(0.3)]
    waves += [sounds.sine(880, 1.2), sounds.noise(0.02, seed=1)]
    return [sounds.encoded(wave) for wave in waves]
