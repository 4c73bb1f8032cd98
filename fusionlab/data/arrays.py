"""Feature arrays: ``.npy`` files that stay on disk, checked a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy
from torch import Tensor

from fusionlab.data.table_files import readable, text_named
from fusionlab.data.tables import Column
from fusionlab.errors import FusionlabError

Array = npt.NDArray[Any]
BLOCK_BYTES = 1 << 24
FLOATS = (np.float16, np.float32, np.float64)


@dataclass(frozen=True)
class FeatureRows:
    """Feature rows of one modality as a file holds them.

    ``values`` (R, T, d), ``mask`` (R, T) bool. ``ids`` (R,) are the items of the rows; without
    them row r belongs to item r of the catalogue.
    """

    file: Path
    values: Tensor
    mask: Tensor
    ids: Column | None = None

    def __len__(self) -> int:
        return len(self.values)


def read_features(
    file: Path,
    *,
    cure: str,
    mask_file: Path | None = None,
    ids: Column | None = None,
    zero_rows_are_missing: bool = False,
) -> FeatureRows:
    """Feature rows of a ``.npy`` file, memory-mapped: (N, d) pooled, (N, T, d) tokens.

    Every value that is not masked must be finite; ``cure`` tells the user how to mask the others.
    """
    array = open_array(text_named(file))
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise FusionlabError(
            f"{file}: found shape {array.shape}, expected (items, width) or (items, tokens, width)"
        )
    if array.dtype not in FLOATS:
        raise FusionlabError(
            f"{file}: found type {array.dtype}, expected float16, float32 or float64"
        )
    values = array if array.ndim == 3 else array[:, None, :]
    mask = np.ones(values.shape[:2], dtype=bool)
    if mask_file is not None:
        mask &= _read_mask(mask_file, values)
    rows = FeatureRows(file, torch.from_numpy(values), torch.from_numpy(mask), ids)
    _check(rows, cure, zero_rows_are_missing)
    return rows


def _check(rows: FeatureRows, cure: str, zero_rows_are_missing: bool) -> None:
    """Refuse what is not finite and not masked, after masking zero vectors if asked to."""
    values, mask = rows.values.numpy(), rows.mask.numpy()
    for part in _blocks(values):
        block = values[part]
        if zero_rows_are_missing:
            mask[part] &= (block != 0).any(axis=2)
        broken = ~np.isfinite(block).all(axis=2) & mask[part]
        if broken.any():
            row = int(broken.any(axis=1).argmax())
            vector = block[row][broken[row]][0]
            found = vector[~np.isfinite(vector)][0]
            raise FusionlabError(
                f"{rows.file}, row {part.start + row} (the first is 0): found {found}, "
                f"expected finite numbers; {cure}"
            )


def open_array(file: Path) -> Array:
    """A ``.npy`` file, memory-mapped copy-on-write and never unpickled.

    Copy-on-write, because torch knows no read-only tensors: a write in place must neither reach the
    file nor end the process.
    """
    dtype, shape, start = _read_header(file)
    if dtype.hasobject:
        raise FusionlabError(
            f"{file}: found pickled Python objects, expected plain numbers: pickles are not opened"
        )
    expected = start + dtype.itemsize * int(np.prod(shape, dtype=object))
    if file.stat().st_size < expected:
        raise FusionlabError(
            f"{file}: found {file.stat().st_size} bytes, expected {expected} for shape {shape} "
            f"of {dtype}: the file is truncated"
        )
    return npy.open_memmap(file, mode="c")


def _read_header(file: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """The type, the shape and where the numbers start."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    with readable(file), file.open("rb") as stream:
        try:
            shape, _, dtype = readers[npy.read_magic(stream)](stream)
            if min(shape, default=0) < 0:
                raise ValueError(f"found shape {shape}")
        except Exception as error:  # parsed as Python's literals, which fail in every way there is
            raise FusionlabError(
                f"{file}: not a .npy file of format 1 or 2, expected what numpy.save writes"
            ) from error
        return dtype, shape, stream.tell()


def _read_mask(file: Path, values: Array) -> Array:
    mask = open_array(file)
    if mask.shape not in (values.shape[:2], values.shape[:1]):
        raise FusionlabError(
            f"{file}: found shape {mask.shape}, expected {values.shape[:1]} or {values.shape[:2]}"
        )
    if mask.dtype != np.bool_:
        raise FusionlabError(f"{file}: found type {mask.dtype}, expected bool, true = present")
    return mask if mask.ndim == 2 else mask[:, None]


def _blocks(values: Array) -> Iterator[slice]:
    """Slices of rows of about `BLOCK_BYTES` each."""
    step = max(1, BLOCK_BYTES // (values.dtype.itemsize * int(np.prod(values.shape[1:]))))
    for start in range(0, len(values), step):
        yield slice(start, start + step)
