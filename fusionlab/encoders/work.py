"""Encode one column: contents hashed, decoded in workers, batched, stored, resumed."""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock

import fusionlab
from fusionlab.data.dataset import Dataset
from fusionlab.data.fingerprint import fingerprint
from fusionlab.data.media import Media, Raw, content_hash, content_size
from fusionlab.data.memory import enough_memory
from fusionlab.encoders.blocks import (
    Block,
    BlockEncoder,
    Chosen,
    Faults,
    Features,
    cut,
    encoded_by_ray,
    encoded_here,
)
from fusionlab.encoders.built import encoder_identity, train_rows
from fusionlab.encoders.column import Column
from fusionlab.encoders.contract import (
    BadMedia,
    Encoder,
    Fault,
    Sample,
    check_spec,
)
from fusionlab.encoders.hashes import ContentHashes
from fusionlab.encoders.store import OK, Encoded, FeatureStore, Status
from fusionlab.encoders.workers import get_ready, prepared
from fusionlab.errors import FusionlabError
from fusionlab.sections import Encoding

HASHES = "hashes.parquet"
LIBRARIES = ("torch", "torchvision", "torchaudio", "transformers", "timm", "scikit-learn", "pillow")
TYPES: dict[str, np.dtype[Any]] = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}
T = TypeVar("T")
OnItems = Callable[[str, int, int], None]
"""Called with the modality, items done and items in all."""


@dataclass(frozen=True)
class Machine:
    """Where encoding happens; none of it is in a feature's name."""

    device: str = "cpu"
    workers: int = 1
    """Processes that decode; with Ray, actors that encode."""
    ray: str | None = None
    """Address of a Ray cluster, or "local"."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise FusionlabError(f"device: found {self.device!r}, expected cpu, cuda or cuda:N")
        wanted = int(self.device.partition(":")[2] or 0)
        if self.device != "cpu" and wanted >= torch.cuda.device_count():
            raise FusionlabError(
                f"device: found {self.device!r}, but torch sees {torch.cuda.device_count()} GPUs "
                "here; expected one of them, or cpu"
            )

    def get_ready(self) -> None:
        """Start what takes a second to start, for who knows that there is something to encode."""
        if self.workers and self.ray is None:
            get_ready()


@dataclass
class ColumnWork:
    """One column to encode."""

    modality: str
    encoding: Encoding
    encoder: Encoder
    media: Media
    dataset: Dataset
    store: FeatureStore
    machine: Machine
    on_items: OnItems

    def run(self) -> Encoded:
        """The finished column."""
        self.started = time.time_ns()
        contents = _contents(self.media.entries, ContentHashes(self.store.root / HASHES))
        train = [contents[row] for row in self._train_rows()]
        identity = encoder_identity(self.encoding, self.encoder) | {
            "fitted_on": fingerprint(sorted(one.content for one in train)) if train else ""
        }
        encoding_id = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        folder = self.store.folder(encoding_id, contents)
        if not folder.exists():  # what is there never changes, and may be read-only
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if not folder.exists():
                    return self._encode(folder, contents, identity, encoding_id)
        return Encoded(folder).checked()

    def _train_rows(self) -> list[int]:
        return train_rows(self.dataset, self.encoder) if self.encoder.fitted else []

    def _encode(
        self, folder: Path, contents: list[Status], identity: dict[str, Any], encoding_id: str
    ) -> Encoded:
        if self.encoder.fitted:
            self.encoder.fit(self._train_samples(contents))
            check_spec(self.encoder)
        column = Column(
            folder,
            contents,
            self.encoder.spec,
            np.dtype(np.int32) if self.encoder.spec.vocabulary else TYPES[self.encoding.store],
            list(self.store.siblings(encoding_id)),
            partial(self._cut, contents),
        )
        blocks = self._left(column, contents)
        by_number = {block.number: block for block in blocks}
        for number, features, faults in self._enough_memory(self._encoded(blocks)):
            block = by_number[number]
            for content, entry in zip(block.contents, block.entries, strict=True):
                self._check_unchanged(content, entry)
            column.write(number, features, faults)
        return column.finish(self.dataset.item_ids.to_list(), self._card(identity))

    def _enough_memory(self, found: Iterator[T]) -> Iterator[T]:
        """What is found, or what to do where the memory does not hold a batch."""
        lower = (
            f"a batch of {self.modality!r}: lower encoders.{self.modality}.batch_size (now "
            f"{self.encoding.batch_size}), or run fewer --workers"
        )
        with enough_memory(lower):
            yield from found

    def _check_unchanged(self, content: str, entry: Raw | None) -> None:
        """A file that is another one by now must not lend its features to what was hashed."""
        if not isinstance(entry, Path):
            return
        try:
            found = entry.stat()
            if max(found.st_mtime_ns, found.st_ctime_ns) <= self.started:
                return
            if content_hash(entry) == content:
                return
        except (OSError, ValueError):
            pass
        raise FusionlabError(
            f"encoders.{self.modality}: {entry} was changed or taken away while it was encoded, "
            "expected files that stay as they are; run it again, what is done is kept"
        )

    def _cut(self, contents: list[Status], new: list[str]) -> list[list[str]]:
        """Contents in blocks."""
        row_of = _rows(contents)
        sizes = [content_size(self.media.entries[row_of[content]]) for content in new]
        return cut(new, sizes, self.encoding.batch_size)

    def _left(self, column: Column, contents: list[Status]) -> list[Block]:
        """The blocks that are still to be done; says how far the column is."""
        row_of = _rows(contents)
        self.total = sum(len(block) for block in column.todo)
        blocks = [
            Block(number, block, Chosen(self.media.entries, [row_of[c] for c in block]))
            for number, block in enumerate(column.todo)
            if number not in column.done
        ]
        self.done = self.total - sum(len(block.contents) for block in blocks)
        self._on_batch(0)
        return blocks

    def _encoded(self, blocks: list[Block]) -> Iterator[tuple[int, Features, Faults]]:
        machine, encoding = self.machine, self.encoding
        encode = BlockEncoder(self.encoder, encoding.batch_size, encoding.precision, machine.device)
        if machine.ray is None:
            return encoded_here(blocks, encode, machine.workers, self._on_batch)
        return encoded_by_ray(blocks, encode, machine.ray, machine.workers, self._on_batch)

    def _on_batch(self, items: int) -> None:
        self.done += items
        self.on_items(self.modality, self.done, self.total)

    def _train_samples(self, contents: list[Status]) -> Iterator[Sample]:
        rows = [row for row in self._train_rows() if contents[row].status == OK]
        entries = Chosen(self.media.entries, rows)
        for sample in prepared(entries, self.encoder.prepare, self.machine.workers):
            if not isinstance(sample, BadMedia):
                yield sample

    def _card(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        versions = {"python": platform.python_version(), "fusionlab": fusionlab.__version__}
        for library in LIBRARIES:
            try:
                versions[library] = metadata.version(library)
            except metadata.PackageNotFoundError:
                continue
        return {
            "modality": self.modality,
            "dataset": self.dataset.name,
            "column": self.encoding.of,
            **identity,
            "vocabulary": self.encoder.spec.vocabulary,
            "batch_size": self.encoding.batch_size,
            "device": self.machine.device,
            "versions": versions,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def prepared_entries(
    entries: Sequence[Raw | None], encoder: Encoder, machine: Machine | None = None
) -> list[Sample | None]:
    """What a trained encoder reads of each entry; None where there is none or it is bad."""
    rows = [row for row, entry in enumerate(entries) if entry is not None]
    found: list[Sample | None] = [None] * len(entries)
    workers = (machine or Machine()).workers
    samples = prepared(Chosen(entries, rows), encoder.prepare, workers)
    for row, sample in zip(rows, samples, strict=True):
        found[row] = None if isinstance(sample, BadMedia) else sample
    return found


def _rows(contents: Sequence[Status]) -> dict[str, int]:
    """The first item of each content."""
    return {one.content: row for row, one in reversed([*enumerate(contents)])}


def _contents(entries: Sequence[Raw | None], hashes: ContentHashes) -> list[Status]:
    """The hash of each entry's content, or why there is none."""

    def content(row: int) -> Status:
        entry = entries[row]
        if entry is None:
            return Status("", Fault.MISSING, "nothing given")
        try:
            return Status(hashes.of(entry))
        except FileNotFoundError:
            return Status("", Fault.MISSING, "no such file")
        except OSError as error:
            return Status("", Fault.CORRUPT, f"cannot be read: {error.strerror}")
        except ValueError as error:  # a path with a zero byte, a text that is no Unicode
            return Status("", Fault.CORRUPT, f"cannot be read: {error}")

    with ThreadPoolExecutor() as threads:
        found = list(threads.map(content, range(len(entries))))
    hashes.save()
    return found
