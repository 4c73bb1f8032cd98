"""Blocks of contents to encode, on this machine or by Ray: the same batches, so the same bytes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fusionlab.clusters import connect
from fusionlab.data.media import Raw
from fusionlab.encoders.contract import BadMedia, Encoder, Fault, Sample, collated
from fusionlab.encoders.workers import Prepare, attempt, prepared

Features = dict[str, tuple[Any, Any]]
"""Values (T', d) and mask (T',) by content."""
Faults = dict[str, BadMedia]
BATCHES_A_BLOCK = 16
"""At most. A block's items are sorted by size before they are cut into batches; it is done or
undone."""


@dataclass(frozen=True)
class Block:
    """Distinct contents that are encoded, and noted as done, together."""

    number: int
    contents: Sequence[str]
    entries: Sequence[Raw]


def cut(contents: Sequence[str], sizes: Sequence[int], batch_size: int) -> list[list[str]]:
    """Contents in blocks, like sizes (of files, of texts) in the same ones, the largest first.

    One batch, then twice as many in each block: the model waits for one batch alone.
    """
    order = sorted(range(len(contents)), key=lambda k: sizes[k], reverse=True)
    blocks, batches, start = [], 1, 0
    while start < len(order):
        end = start + batches * batch_size
        blocks.append([contents[k] for k in order[start:end]])
        start, batches = end, min(2 * batches, BATCHES_A_BLOCK)
    return blocks


class Chosen(Sequence[Any]):
    """Some entries of a column, each fetched when it is asked for."""

    def __init__(self, entries: Sequence[Raw | None], rows: Sequence[int]) -> None:
        self.entries, self.rows = entries, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.entries[row] for row in self.rows[index]]
        return self.entries[self.rows[index]]


class BlockEncoder:
    """Prepared items of a block in, features out: like sizes share a batch, the largest first."""

    def __init__(self, encoder: Encoder, batch_size: int, precision: str, device: str) -> None:
        self.encoder, self.batch_size = encoder.to(device), batch_size
        self.bf16, self.device = precision == "bf16", torch.device(device)

    def __call__(
        self, samples: Mapping[str, Sample], on_batch: Callable[[int], None] = lambda n: None
    ) -> tuple[Features, Faults]:
        """Features of each content, and which have none that are finite."""
        order = sorted(samples, key=lambda c: self.encoder.size(samples[c]), reverse=True)
        features: Features = {}
        faults: Faults = {}
        for start in range(0, len(order), self.batch_size):
            contents = order[start : start + self.batch_size]
            for content, values, mask in self._forward(contents, samples):
                if values.isfinite().all():
                    features[content] = values.numpy(), mask.numpy()
                else:
                    faults[content] = BadMedia(Fault.CORRUPT, "its features are not finite")
            on_batch(len(contents))
        return features, faults

    @torch.inference_mode()
    def _forward(
        self, contents: Sequence[str], samples: Mapping[str, Sample]
    ) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        batch = collated(self.encoder, [samples[content] for content in contents])
        batch = {name: x.to(self.device, non_blocking=True) for name, x in batch.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            values, mask = self.encoder(batch)
        values = values.float() if values.is_floating_point() else values
        values = torch.where(mask[..., None], values, 0).cpu()
        return zip(contents, values, mask.cpu(), strict=True)


def sorted_out(contents: Sequence[str], found: Iterator[Any]) -> tuple[dict[str, Sample], Faults]:
    """The next prepared items, by content: good ones and bad ones."""
    samples: dict[str, Sample] = {}
    faults: Faults = {}
    for content, one in zip(contents, found, strict=False):
        if isinstance(one, BadMedia):
            faults[content] = one
        else:
            samples[content] = one
    return samples, faults


def encoded_here(
    blocks: Sequence[Block], encode: BlockEncoder, workers: int, on_batch: Callable[[int], None]
) -> Iterator[tuple[int, Features, Faults]]:
    """Encode on this machine; workers decode the next block while the model has this one."""
    longest = max((len(block.contents) for block in blocks), default=0)
    entries = _Joined([block.entries for block in blocks])
    found = prepared(entries, encode.encoder.prepare, workers, ahead=longest)
    for block in blocks:
        # zip asks the contents first, so it never takes an item of the next block
        samples, faults = sorted_out(block.contents, found)
        on_batch(len(faults))
        features, more = encode(samples, on_batch)
        yield block.number, features, faults | more


def encoded_by_ray(
    blocks: Sequence[Block],
    encode: BlockEncoder,
    address: str,
    workers: int,
    on_batch: Callable[[int], None],
) -> Iterator[tuple[int, Features, Faults]]:
    """Encode as a Ray Data pipeline: tasks decode, actors that hold the model encode.

    A row is a block. Files must be readable by every machine of the cluster.
    """
    ray = connect(address)
    rows = [{"number": block.number, "block": pickle.dumps(block)} for block in blocks]
    gpus = 1 if encode.device.type == "cuda" else 0
    stages: Any = (_PrepareBlock(encode.encoder.prepare), _EncodeBlock)
    pipeline = (
        ray.data.from_items(rows, override_num_blocks=max(len(rows), 1))
        .map(stages[0])
        .map(
            stages[1],
            fn_constructor_args=[pickle.dumps(encode)],
            concurrency=workers,
            num_gpus=gpus,
        )
    )
    for row in pipeline.iter_rows():
        features, faults = pickle.loads(row["encoded"])
        on_batch(len(features) + len(faults))
        yield row["number"], features, faults


class _PrepareBlock:
    """A Ray task: the prepared items of a block."""

    def __init__(self, prepare: Prepare) -> None:
        self.prepare = prepare

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        block: Block = pickle.loads(row["block"])
        found = (attempt(self.prepare, entry) for entry in block.entries)
        return {
            "number": row["number"],
            "prepared": pickle.dumps(sorted_out(block.contents, found)),
        }


class _EncodeBlock:
    """A Ray actor: the features of a block."""

    def __init__(self, encode: bytes) -> None:
        self.encode: BlockEncoder = pickle.loads(encode)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        samples, faults = pickle.loads(row["prepared"])
        features, more = self.encode(samples)
        return {"number": row["number"], "encoded": pickle.dumps((features, faults | more))}


class _Joined(Sequence[Any]):
    """Entries of several blocks, one after the other, fetched in slices."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self.places = [(part, index) for part in parts for index in range(len(part))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [part[place] for part, place in self.places[index]]
        part, place = self.places[index]
        return part[place]
