"""Hashes of content: the key of every cache and the identity of every dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures

CHUNK_BYTES = 1 << 24


def fingerprint(parts: Iterable[str | Tensor | ItemFeatures | None]) -> str:
    """SHA-256 (hex) of strings, tensors (type, shape and bytes) and item features, in order.

    Values behind a false mask are undefined and do not count.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            _add_tensor(digest, part)
        elif isinstance(part, ItemFeatures):
            _add_features(digest, part)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def text_content(values: pl.Series) -> list[Tensor | str]:
    """A column as parts of a fingerprint: lengths beside the joined text leave no doubt."""
    text = values.cast(pl.String)
    return [
        torch.from_numpy(text.str.len_bytes().to_numpy().astype(np.int64)),
        text.str.join().item(),
    ]


def file_fingerprint(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add_features(digest: Any, features: ItemFeatures) -> None:
    for name, values in features.values.items():
        mask = features.mask[name]
        digest.update(f"{name}{values.dtype}{tuple(values.shape)}".encode())
        _add_tensor(digest, mask)
        step = max(1, CHUNK_BYTES // max(1, values[:1].nbytes))
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            block, on = values[rows], mask[rows]
            _add_tensor(digest, block if on.all() else block.masked_fill(~on[..., None], 0))


def _add_tensor(digest: Any, tensor: Tensor) -> None:
    digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    if tensor.numel():  # of nothing there are no bytes to see
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
