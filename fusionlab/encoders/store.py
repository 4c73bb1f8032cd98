"""The feature store: encoded columns on disk, named by what made them.

    ROOT / encoding / catalogue / values.npy   (N, T, d), memory-mapped by whoever reads it
                                  mask.npy     (N, T) bool
                                  report.csv   a row an item: its content's hash, ok or why not
                                  card.json    provenance, and its own digest
                                  SHA256SUMS   of the three others

``encoding`` names encoder, weights and preprocessing, ``catalogue`` the content of every item, in
order. What is being written (`Column`) stands beside it under another name until it is whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusionlab.data.arrays import FLOATS, Array, open_array
from fusionlab.data.features import ItemFeatures
from fusionlab.data.sealed import intact, unsealed
from fusionlab.encoders.contract import BadMedia
from fusionlab.errors import FusionlabError

OK = "ok"
UNLIKE = OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, csv.Error
"""What reading says of a file that was not written here."""
ARRAYS = ("values.npy", "mask.npy")
CARD, REPORT = "card.json", "report.csv"


@dataclass(frozen=True)
class Status:
    """What became of one item: the hash of its content ("" if there is none), and its fate."""

    content: str
    status: str = OK
    why: str = ""

    @classmethod
    def bad(cls, content: str, bad: BadMedia) -> Status:
        """The status of an item that cannot be encoded."""
        return cls(content, bad.fault.value, bad.why)


@contextmanager
def undamaged(folder: Path) -> Iterator[None]:
    """One error, with the way out, for files that are not as `Column` writes them."""
    try:
        yield
    except UNLIKE as error:
        raise FusionlabError(
            f"{folder}: damaged, cut off or changed since it was written ({error}); delete the "
            "folder, it is encoded again"
        ) from None


@dataclass(frozen=True)
class Encoded:
    """One finished column of the store."""

    folder: Path

    @property
    def card(self) -> dict[str, Any]:
        """Where the features come from; FusionlabError if that was cut off or changed."""
        with undamaged(self.folder):
            found = unsealed((self.folder / CARD).read_text())
            if not {"features", "items"} <= found.keys():
                raise ValueError(f"{CARD} lacks the hash of the features or the number of items")
            return found

    def checked(self) -> Encoded:
        """This column, if it is as it was written; it is read once from end to end.

        Raises:
            FusionlabError: a file of it is gone, was cut off, or has changed by a byte.
        """
        _ = self.card
        for name in (*ARRAYS, REPORT):
            intact(self.folder / name)
        return self

    @property
    def statuses(self) -> list[Status]:
        """What became of each item, in the order of the catalogue."""
        with undamaged(self.folder), (self.folder / REPORT).open(newline="") as file:
            return [Status(r["content"], r["status"], r["why"]) for r in csv.DictReader(file)]

    def arrays(self) -> tuple[Array, Array]:
        """The values (N, T, d) and their mask (N, T), memory-mapped."""
        values = open_array(self.folder / "values.npy")
        mask = open_array(self.folder / "mask.npy")
        with undamaged(self.folder):
            known = values.dtype in (*FLOATS, np.int32) and mask.dtype == np.bool_
            if not known or values.ndim != 3 or mask.shape != values.shape[:2]:
                raise ValueError(
                    f"found values {values.shape} of {values.dtype} and a mask {mask.shape} of "
                    f"{mask.dtype}"
                )
            return values, mask

    def features(self, modality: str) -> ItemFeatures:
        """The features, memory-mapped."""
        card, (values, mask) = self.card, self.arrays()
        with undamaged(self.folder):
            if card["items"] != len(values):
                raise ValueError(f"found {len(values)} rows, {CARD} says {card['items']}")
            size = int(card.get("vocabulary", 0))
        return ItemFeatures(
            {modality: torch.from_numpy(values)},
            {modality: torch.from_numpy(mask)},
            {modality: size} if size else {},
        )


class FeatureStore:
    """Encoded columns under ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, encoding: str, contents: Sequence[Status]) -> Path:
        """Where the column of these contents by this encoding is, or will be."""
        catalogue = sha256(json.dumps([asdict(one) for one in contents]).encode()).hexdigest()
        return self.root / encoding[:32] / catalogue[:32]

    def siblings(self, encoding: str) -> Iterator[Encoded]:
        """Every finished column by this encoding, of whatever catalogue."""
        for card in sorted((self.root / encoding[:32]).glob(f"*/{CARD}")):
            if card.parent.suffix != ".partial":
                yield Encoded(card.parent)
