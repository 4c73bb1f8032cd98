"""A small encoder of text for the tests, and texts for it to encode.

In a file of its own, as a plug-in is: worker processes must find it too.
"""

import os
import random
import time
from dataclasses import replace

import polars as pl
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat, Labelled, Labels
from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Media, Medium
from fusionlab.encoders.contract import ENCODERS, BadMedia, Encoder, Fault
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Encoding

WORDS = ["mug", "cup", "jug", "pot", "teapot", "mug", "a much longer text", "bowl", "cap", "tea"]


def catalogue(texts=WORDS):
    """A labelled dataset of texts; items 0 and 1 are train."""
    part = Labelled(torch.arange(2), torch.zeros(2, dtype=torch.long))
    return Dataset(
        name="texts",
        item_ids=pl.Series([f"i{row}" for row in range(len(texts))]),
        features=None,
        interactions=None,
        labels=Labels(["all"], part, part, Sealed("labels", part)),
        fingerprint="texts",
        media={"title": Media(Medium.TEXT, texts)},
    )


def encoding(name="letters", batch_size=2, **options):
    """An encoding of the titles."""
    part = {"name": name, **options}
    return validate(Encoding, {"of": "title", "encoder": part, "batch_size": batch_size})


class Reading:
    def __init__(self, delay):
        self.delay = delay

    def __call__(self, raw):
        if raw == "bad":
            raise BadMedia(Fault.CORRUPT, "it says so")
        if raw == "crash":
            os._exit(9)
        time.sleep(self.delay)
        return {"letters": torch.tensor([ord(letter) % 128 for letter in raw])}


@ENCODERS.register("letters")
class Letters(Encoder):
    """v = W mean of the vectors of a text's letters."""

    medium = Medium.TEXT

    def __init__(self, *, width: int = 5, seed: int = 0, delay: float = 0.0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(128, width, generator=draw))
        self.mix = nn.Parameter(torch.randn(width, width, generator=draw))
        self.spec = FeatureSpec(width)
        self.prepare = Reading(delay)

    def collate(self, samples):
        letters = [sample["letters"] for sample in samples]
        lengths = torch.tensor([len(one) for one in letters])
        return {"letters": pad_sequence(letters, batch_first=True), "lengths": lengths}

    def forward(self, batch):
        lengths = batch["lengths"]
        on = torch.arange(batch["letters"].shape[1]) < lengths[:, None]
        vectors = torch.where(on[..., None], self.table[batch["letters"]], 0).sum(1)
        views = vectors / lengths[:, None] @ self.mix
        return views[:, None], torch.ones(len(views), 1, dtype=torch.bool)


@ENCODERS.register("centred_letters")
class CentredLetters(Letters):
    """`Letters` less the mean over train items."""

    fitted = True

    def __init__(self, *, width: int = 5):
        super().__init__(width=width)
        self.register_buffer("mean", torch.zeros(width))

    def fit(self, samples):
        views = [Letters.forward(self, self.collate([sample]))[0] for sample in samples]
        self.mean = torch.cat(views).mean(0)[0].detach()
        self.seen = len(views)

    def forward(self, batch):
        views, mask = super().forward(batch)
        return views - self.mean, mask


@DATASETS.register("letter_classes")
class LetterClasses(DatasetFormat):
    """Texts of the first or of the last letters of the alphabet; every tenth has no text."""

    def load(self):
        draw = random.Random(0)
        alphabets = ("abcdefghijklm", "nopqrstuvwxyz")
        classes = [row % 2 for row in range(120)]
        texts = ["".join(draw.choices(alphabets[k], k=draw.randint(1, 9))) for k in classes]
        texts[::10] = [None] * 12
        found = catalogue(texts)
        rows, truth = torch.arange(120), torch.tensor(classes)
        parts = [Labelled(rows[part::3], truth[part::3]) for part in range(3)]
        labels = Labels(["first", "last"], *parts[:2], Sealed("labels", parts[2]))
        return replace(found, labels=labels)
