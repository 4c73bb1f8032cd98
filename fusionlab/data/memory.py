"""Too little memory: what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fusionlab.errors import FusionlabError

REFUSED = ("can't allocate memory", "not enough memory", "cannot allocate memory", "bad_alloc")
"""What torch says on a CPU, where it has no error of its own for that."""


def out_of_memory(error: Exception) -> bool:
    """Is it a refusal of memory, by a GPU, by the system or by Python?"""
    said = " ".join(str(error).split()).lower()
    refused = isinstance(error, RuntimeError) and any(words in said for words in REFUSED)
    return refused or isinstance(error, (MemoryError, torch.OutOfMemoryError))


@contextmanager
def enough_memory(lower: str) -> Iterator[None]:
    """Say what does not fit, and what to ``lower``, where the memory is too small.

    A system that promises more memory than it has ends the process instead (on Linux SIGKILL): then
    nothing can be said, and what is done is in the store or the checkpoint.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        said = " ".join(str(error).split())
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        where = "the GPU's memory" if on_gpu else "the memory"
        raise FusionlabError(
            f"{where} does not hold {lower} ({said or type(error).__name__})"
        ) from error
