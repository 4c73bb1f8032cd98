"""Room for large arrays on disk: pages that the system may take back while they are not read."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from fusionlab.data.disk import reserve, writing

LARGE = 1 << 28
"""Bytes from which an array is held in a file."""


def room(shape: tuple[int, ...], dtype: torch.dtype, folder: Path | None = None) -> Tensor:
    """An empty tensor; a large one is mapped from a file in ``folder`` that nobody else sees.

    The file has no name any more when this returns: it is gone with the tensor, or the process.
    """
    size = math.prod(shape)
    if size * dtype.itemsize < LARGE:
        return torch.empty(shape, dtype=dtype)
    with (
        writing(folder or Path(tempfile.gettempdir())),
        tempfile.NamedTemporaryFile(dir=folder) as file,
    ):
        file.truncate(size * dtype.itemsize)
        reserve(Path(file.name))
        return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(shape)
