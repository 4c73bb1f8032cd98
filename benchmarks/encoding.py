"""Encoding a column, beside the bare model on the same batches, prepared beforehand.

The bare model starts from prepared samples: tokens, 3 x 224 x 224 bytes, log-mel spectrograms. The
pipeline loads the model, hashes, decodes, copies and writes. Its first call, which is not counted,
starts the process that decoders are forked from.

Weights are random: they cost the same. Texts are sentences of 8 to 64 words, images photographs in
size and noise (JPEG, 320 x 240), sounds three seconds of noise (WAV, 16 kHz).
"""

import io
import random
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
import torch
from PIL import Image

from fusionlab.data.dataset import Dataset
from fusionlab.data.media import Media, Medium
from fusionlab.encoders.encode import Machine, encode
from fusionlab.encoders.store import FeatureStore
from fusionlab.schema import validate
from fusionlab.sections import Encoding

BATCH = 32
ITEMS = {"text": 4096, "image": 512, "audio": 8192}
WORDS = [f"word{n}" for n in range(2000)]


def texts(n):
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(8, 64))) for _ in range(n)]


def images(n):
    draw, files = np.random.default_rng(0), []
    for _ in range(n):
        coarse = Image.fromarray(draw.integers(0, 256, (15, 20, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def sounds(n):
    draw, files = np.random.default_rng(0), []
    for _ in range(n):
        file = io.BytesIO()
        soundfile.write(file, 0.1 * draw.standard_normal(48_000), 16_000, format="WAV")
        files.append(file.getvalue())
    return files


def bert():
    """A folder with a BERT of MiniLM's size (6 layers of 384) and a tokenizer, untrained."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = Path(tempfile.mkdtemp())
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


CASES = {
    "text": (texts, lambda: {"name": "text_transformer", "model": str(bert())}),
    "image": (
        images,
        lambda: {"name": "image_timm", "model": "resnet50", "pretrained": False},
    ),
    "audio": (sounds, lambda: {"name": "audio_recurrent", "hidden": 256}),
}


def pair(medium):
    """Two calls: the framework's, into a fresh store each time, and the bare model's."""
    make, encoder = CASES[medium]
    entries = make(ITEMS[medium])
    encoding = validate(Encoding, {"of": "raw", "encoder": encoder(), "batch_size": BATCH})
    dataset = Dataset(
        "bench",
        pl.Series([str(n) for n in range(len(entries))]),
        None,
        None,
        None,
        "bench",
        media={"raw": Media(Medium(medium), entries)},
    )
    numbers, root = count(), Path(tempfile.mkdtemp())

    def ours():
        store = FeatureStore(root / str(next(numbers)))
        encode(dataset, {medium: encoding}, store, Machine(workers=1))

    model = encoding.encoder.build().eval()
    samples = sorted(map(model.prepare, entries), key=model.size, reverse=True)

    @torch.inference_mode()
    def bare():
        for start in range(0, len(samples), BATCH):
            model(model.collate(samples[start : start + BATCH]))

    return ours, bare
