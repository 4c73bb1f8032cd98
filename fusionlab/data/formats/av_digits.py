"""Digits seen and heard: handwritten images paired with spoken recordings."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field

from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat, Labelled, Labels
from fusionlab.data.fingerprint import fingerprint
from fusionlab.data.media import Media, Medium
from fusionlab.data.splits import TEST, TRAIN, VALID
from fusionlab.data.table_files import existing_folder
from fusionlab.errors import FusionlabError
from fusionlab.schema import Seed
from fusionlab.seal import Sealed

Ints = npt.NDArray[np.int64]
Count = Annotated[int, Field(ge=1)]
NAMED = "{digit}_{speaker}_{index}.wav"
NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")
N_DIGITS, WHITE = 10, 16


@DATASETS.register("av_digits")
class AVDigits(DatasetFormat):
    """Classification of digits from a sound and an image of the same digit.

    The sounds are a folder of the Free Spoken Digit Dataset (Jackson et al., 2018), named
    ``{digit}_{speaker}_{index}.wav``, each an item; the images are the 1,797 handwritten digits of
    scikit-learn (8 x 8 pixels), dealt at random to the sounds of their digit, so that the two
    modalities of an item share nothing else. No voice and no image is in two splits: where there
    are more sounds than images, a split uses its own images again. Who wrote an image is not known,
    so a writer may be in several splits. Raw media: ``image`` (PNG) and ``audio``.

    Options:
        path: the folder of the recordings, or the one that holds it as ``recordings``
        valid: number of speakers for validation
        test: number of speakers for test
        seed: of the draw of speakers and images
    """

    def __init__(
        self,
        *,
        path: str,
        valid: Count = 1,
        test: Count = 2,
        seed: Seed = 0,
    ) -> None:
        self.path, self.valid, self.test, self.seed = path, valid, test, seed

    def load(self) -> Dataset:
        """Find the recordings, deal speakers to splits and images to recordings."""
        from sklearn.datasets import load_digits  # takes a second, and others need none of it

        sounds = _recordings(existing_folder(self.path))
        digits = sounds["digit"].to_numpy().copy()
        part = self._parts(sounds["speaker"])
        pixels, written = load_digits(return_X_y=True)
        images = self._deal(digits, part, written)
        pngs = {row: _png(pixels[row].reshape(8, 8)) for row in np.unique(images).tolist()}
        ids = sounds["file"].str.strip_suffix(".wav").alias("item")
        arrays = [torch.from_numpy(array) for array in (digits, part, images)]
        return Dataset(
            name="av_digits",
            item_ids=ids,
            features=None,
            interactions=None,
            labels=_labels(*arrays[:2]),
            fingerprint=fingerprint(["av_digits", *ids, *arrays]),
            media={
                "image": Media(Medium.IMAGE, [pngs[row] for row in images.tolist()]),
                "audio": Media(Medium.AUDIO, [Path(path) for path in sounds["path"]]),
            },
        )

    def _parts(self, speakers: pl.Series) -> Ints:
        """(N,) the split of each item, that of its speaker."""
        names = speakers.unique().sort()
        if len(names) <= self.valid + self.test:
            raise FusionlabError(
                f"{self.path}: found {len(names)} speakers ({', '.join(names)}), expected more "
                f"than valid + test = {self.valid + self.test}"
            )
        dealt = np.random.default_rng([self.seed, 0]).permutation(names.to_numpy())
        parts = dict.fromkeys(dealt[: self.test], TEST)
        parts |= dict.fromkeys(dealt[self.test : self.test + self.valid], VALID)
        return np.array([parts.get(speaker, TRAIN) for speaker in speakers], dtype=np.int64)

    def _deal(self, digits: Ints, part: Ints, written: Ints) -> Ints:
        """(N,) the row of each item's image; of a digit's images each split has a share of its own.

        The shares of validation and test are as their shares of the sounds, at least one image.
        """
        images = np.empty(len(digits), dtype=np.int64)
        for digit in range(N_DIGITS):
            own = np.flatnonzero(written == digit)
            own = np.random.default_rng([self.seed, 1, digit]).permutation(own)
            sounds = digits == digit
            for chosen in (sounds & (part == TEST), sounds & (part == VALID)):
                size = max(1, len(own) * int(chosen.sum()) // max(1, int(sounds.sum())))
                images[chosen] = np.resize(own[:size], int(chosen.sum()))
                own = own[size:]
            train = sounds & (part == TRAIN)
            images[train] = np.resize(own, int(train.sum()))
        return images


def _recordings(folder: Path) -> pl.DataFrame:
    """The wav files in order, with what their names say."""
    inner = folder / "recordings"
    folder = inner if inner.is_dir() else folder
    rows = []
    for file in folder.glob("*.wav"):
        match = NAME.fullmatch(file.name)
        if match is None:
            raise FusionlabError(f"{folder}: found {file.name}, expected {NAMED}")
        rows.append((int(match[1]), match[2], int(match[3]), file.name, str(file)))
    if not rows:
        raise FusionlabError(f"{folder}: found no file *.wav, expected some, named {NAMED}")
    schema = ["digit", "speaker", "index", "file", "path"]
    return pl.DataFrame(sorted(rows), schema=schema, orient="row")


def _labels(digits: torch.Tensor, part: torch.Tensor) -> Labels:
    rows = [(part == number).nonzero()[:, 0] for number in (TRAIN, VALID, TEST)]
    train, valid, test = (Labelled(chosen, digits[chosen]) for chosen in rows)
    names = [str(digit) for digit in range(N_DIGITS)]
    return Labels(names, train, valid, Sealed("test labels", test))


def _png(pixels: npt.NDArray[np.float64]) -> bytes:
    """A picture of (8, 8) pixels from 0 (black) to 16 (white)."""
    from PIL import Image  # comes with torchvision

    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * (255 / WHITE)).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()
