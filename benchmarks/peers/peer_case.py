"""What every toolkit is given: clicks, features, factors and lists, drawn once and shared."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SPLITS = ("train", "valid", "test")
CUTOFFS = (10, 20)
BATCH, DIM, LAYERS = 2048, 64, 2
FIRST_BATCH = "first batch"
"""The work of a process that ends after its first optimizer step."""
WIDTHS = {"image": 4096, "text": 384, "audio": 128}


@dataclass(frozen=True)
class Work:
    """A kind of work, ready to run.

    ``run`` does it once. ``figures`` says what came out, for comparison with the other toolkits: a
    figure of one name means one definition. ``silent``: the toolkit shows none. ``timed``: the work
    cannot be told from its preparation from outside, so ``run`` returns the seconds of the work
    itself.
    """

    run: Callable[[], object]
    figures: Callable[[], dict[str, float]] = dict
    timed: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Case:
    """The data in a folder of MMRec's layout, and how the work is to be done.

    Every user and every item has a train click, and no pair stands in two splits, so that toolkits
    that drop unknown users or mask differently all judge the same.
    """

    folder: str
    users: int = 19_445
    items: int = 7_050
    train: int = 117_826
    held_out: int = 21_483
    threads: int = 2
    mmrec: str = ""

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)

    @property
    def name(self) -> str:
        """The folder's own name, which MMRec and RecBole take for the dataset's."""
        return self.path.name

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that does the work: the same number of threads for everybody, and no GPU.

        Two settings of the caller's do not count, so that all toolkits are as their users have
        them: OpenMP's threads spin for a while before they sleep, and modules are compiled once.
        """
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        counts = dict.fromkeys(names, str(self.threads))
        ignored = {"OMP_WAIT_POLICY", "PYTHONDONTWRITEBYTECODE"}
        given = {name: value for name, value in os.environ.items() if name not in ignored}
        return {**given, **counts, "CUDA_VISIBLE_DEVICES": ""}

    @cached_property
    def pairs(self) -> dict[str, Ints]:
        """Split to (E, 2): user and item of each click."""
        with np.load(self.path / "clicks.npz") as stored:
            return {split: stored[split] for split in SPLITS}

    @cached_property
    def factors(self) -> tuple[Floats, Floats]:
        """Vectors of users (U, D) and items (N, D): users lie near the items they click anywhere.

        So lists have hits in every split, and no two scores tie.
        """
        draw = np.random.default_rng(1)
        shapes = (self.users, DIM), (self.items, DIM)
        users, items = (draw.standard_normal(shape, np.float32) for shape in shapes)
        for pairs in self.pairs.values():
            np.add.at(users, pairs[:, 0], items[pairs[:, 1]])
        return users, items

    @cached_property
    def weights(self) -> dict[str, Floats]:
        """Of a step that all toolkits take: vectors of users and items, tastes (U, D), and what
        maps image and text, side by side, to D columns. Margins stay so small that a constant in
        a toolkit's logarithm makes no difference."""
        draw = np.random.default_rng(3)
        wide = WIDTHS["image"] + WIDTHS["text"]
        sizes = {"users": self.users, "items": self.items, "tastes": self.users}
        tables = {name: (rows, DIM, 0.2) for name, rows in sizes.items()}
        tables["project"] = (DIM, wide, wide**-0.5)
        return {
            name: draw.standard_normal((rows, columns), np.float32) * np.float32(scale)
            for name, (rows, columns, scale) in tables.items()
        }

    @cached_property
    def step(self) -> Ints:
        """(3, B): users, clicked items and other items of a step."""
        draw = np.random.default_rng(4)
        clicks = draw.permutation(self.pairs["train"])[:BATCH]
        others = draw.integers(0, self.items, len(clicks))
        return np.column_stack([clicks, others]).T.copy()

    @cached_property
    def lists(self) -> Ints:
        """A list of K distinct items a user (U, K), in which many of the test clicks stand."""
        draw = np.random.default_rng(2)
        steps = draw.integers(1, self.items // max(CUTOFFS), (self.users, max(CUTOFFS)))
        lists = (draw.integers(0, self.items, (self.users, 1)) + steps.cumsum(1)) % self.items
        for user, item in self.pairs["test"][::2].tolist():
            if item not in lists[user]:
                lists[user, draw.integers(max(CUTOFFS))] = item
        return lists

    def grouped(self, split: str) -> dict[int, Ints]:
        """The items of each user who has any in the split."""
        pairs = self.pairs[split]
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        users, starts = np.unique(pairs[:, 0], return_index=True)
        return dict(zip(users.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True))

    def write(self) -> None:
        """Draw the data and write it."""
        self.path.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(0)
        pairs = self._draw_pairs(draw)
        ends = self.train, self.train + self.held_out
        parts = dict(zip(SPLITS, np.split(pairs, ends), strict=True))
        train, valid, test = parts.values()
        np.savez(self.path / "clicks.npz", train=train, valid=valid, test=test)
        labels = np.repeat([0, 1, 2], [len(part) for part in parts.values()])
        table = np.column_stack([pairs, labels])
        file, header = self.path / f"{self.name}.inter", "userID\titemID\tx_label"
        np.savetxt(file, table, "%d", "\t", header=header, comments="")
        for name, width in WIDTHS.items():
            values = draw.standard_normal((self.items, width), np.float32)
            np.save(self.path / f"{name}_feat.npy", values)

    def _draw_pairs(self, draw: np.random.Generator) -> Ints:
        """Distinct pairs, items by a Zipf law; the first ones cover all users and items."""
        weights = 1 / np.arange(1, self.items + 1) ** 0.8
        weights /= weights.sum()
        count = self.train + 2 * self.held_out
        covering = np.concatenate(
            [
                np.arange(self.users) * self.items + draw.choice(self.items, self.users, p=weights),
                draw.integers(0, self.users, self.items) * self.items + np.arange(self.items),
            ]
        )
        others = draw.integers(0, self.users, 2 * count) * self.items
        others += draw.choice(self.items, 2 * count, p=weights)
        keys, first = np.unique(np.concatenate([covering, others]), return_index=True)
        keys = keys[np.argsort(first)][:count]
        keys[: self.train] = draw.permutation(keys[: self.train])
        return np.column_stack([keys // self.items, keys % self.items])

    def text(self) -> str:
        """The case as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Case:
        """The inverse of `text`."""
        return cls(**json.loads(text))
