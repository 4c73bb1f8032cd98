"""A disk that is full, read-only or not ours: one clear error instead of half a file or a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from safetensors import SafetensorError

from fusionlab.errors import FusionlabError


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Say what to do where ``file``, in a store of runs, cannot be written.

    Of what writes tables and tensors each has an error of its own for a full disk: torch a
    RuntimeError, safetensors and polars theirs.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, pl.exceptions.PolarsError) as error:
        why = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise FusionlabError(
            f"{file}: cannot be written ({why}); free space or allow writing there, or keep runs "
            "elsewhere (--runs); the same command goes on from what is done"
        ) from error


def reserve(file: Path) -> None:
    """Have the system set aside the bytes of a file that is to be written through memory.

    A sparse file takes its space when a page is first touched; on a full disk that ends the process
    with SIGBUS and no word. Where the system has no such call (macOS, Windows) nothing is done.

    Raises:
        OSError: there is no space for it.
    """
    size = file.stat().st_size
    if size and hasattr(os, "posix_fallocate"):
        handle = os.open(file, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)
