"""Room for large arrays on disk: pages that the system may take back while they are not read."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.data.disk import reserve, writing
from fusionlab.data.memory import memory_size

SHARE, UNKNOWN = 8, 1 << 31
"""An array is large if it takes one of so many parts of the memory that there is for each core, as
many processes as cores having arrays of their own; of so much where the system does not tell."""


def large_bytes() -> int:
    """Bytes from which an array is held in a file."""
    size = memory_size()
    return (UNKNOWN if size is None else size // (os.cpu_count() or 1)) // SHARE


def joined(
    parts: Iterable[Tensor], shape: tuple[int, ...], dtype: torch.dtype, folder: Path | None = None
) -> Tensor:
    """``parts`` (n, ...), one below the other, as one tensor of ``shape``, on the CPU.

    A large one is mapped from a file in ``folder`` that nobody else sees. The file has no name any
    more when this returns: it is gone with the tensor, or the process. Parts are written, not
    copied into the map, where every fresh page would cost a call into the file system.

    Raises:
        FusionlabError: the file cannot be written; before any part is made where the disk is full.
    """
    size = math.prod(shape)
    if size * dtype.itemsize < large_bytes():
        found = torch.empty(shape, dtype=dtype)
        first = 0
        for part in parts:
            found[first : first + len(part)] = part
            first += len(part)
        return found
    place = folder or Path(tempfile.gettempdir())
    with ExitStack() as open_until_mapped:
        with writing(place):
            file = open_until_mapped.enter_context(
                tempfile.NamedTemporaryFile(dir=place, buffering=0)
            )
            file.truncate(size * dtype.itemsize)
            reserve(Path(file.name))
        for part in parts:
            rows = part.to("cpu", dtype).contiguous().view(torch.uint8)
            left = memoryview(rows.numpy().tobytes())
            with writing(place):  # not around the work that parts are made by
                while left:
                    left = left[os.write(file.fileno(), left) :]
        with writing(place):
            return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(shape)
