"""Room for large arrays on disk: pages that the system may take back while they are not read."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.data.disk import reserve, writing
from fusionlab.data.memory import memory_size

SHARE = 16
"""An array is large if it takes more than one of so many parts of the memory that there is."""


def large() -> int:
    """Bytes from which an array is held in a file."""
    return (memory_size() or 1 << 32) // SHARE


def joined(
    parts: Iterable[Tensor], shape: tuple[int, ...], dtype: torch.dtype, folder: Path | None = None
) -> Tensor:
    """``parts``, one below the other, as one tensor of ``shape`` and ``dtype`` on the CPU.

    A large one is mapped from a file in ``folder`` that nobody else sees. The file has no name any
    more when this returns: it is gone with the tensor, or the process. Parts are written, not
    copied into the map, where every fresh page would cost a call into the file system.
    """
    size = math.prod(shape)
    if size * dtype.itemsize < large():
        found = torch.empty(shape, dtype=dtype)
        first = 0
        for part in parts:
            found[first : first + len(part)] = part
            first += len(part)
        return found
    place = folder or Path(tempfile.gettempdir())
    with ExitStack() as open_until_mapped:
        with writing(place):
            file = open_until_mapped.enter_context(tempfile.NamedTemporaryFile(dir=place))
            file.truncate(size * dtype.itemsize)
            reserve(Path(file.name))
        for part in parts:
            rows = part.to("cpu", dtype).contiguous().view(torch.uint8).numpy().tobytes()
            with writing(place):  # not around the work that parts are made by
                file.write(rows)
        with writing(place):
            file.flush()
            return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(shape)
