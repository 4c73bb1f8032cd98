"""A disk that is full, read-only or not ours: one clear error instead of half a file or a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from fusionlab.errors import FusionlabError


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Say what to do where ``file``, in a store of runs, cannot be written.

    Of what writes tables and tensors each has an error of its own for a full disk: torch a
    RuntimeError, safetensors and polars theirs.
    """
    from polars.exceptions import PolarsError  # a writer of the feedback log needs neither
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError, PolarsError) as error:
        why = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise FusionlabError(
            f"{file}: cannot be written ({why}); free space or allow writing there, or keep runs "
            "elsewhere (--runs); the same command goes on from what is done"
        ) from error


@contextmanager
def whole(file: Path, *, shared: bool = False) -> Iterator[Path]:
    """A draft to write, which then takes the place of ``file``: nobody ever reads half a file.

    ``shared``: others may write the file at the same time, so the draft's name is nobody else's.
    """
    end = uuid4().hex if shared else "part"
    draft = file.with_name(f".{file.name}.{end}")
    try:
        yield draft
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(file: Path, content: bytes) -> Path:
    """Write a file that somebody asked for, and its folder; see `whole`."""
    _no_special(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file, shared=True) as draft:
        draft.write_bytes(content)
    return file


def writable(file: Path) -> None:
    """Make the folder of a file that is to be written after long work; FusionlabError if one
    cannot write there."""
    _no_special(file)
    draft = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise FusionlabError(
            f"{file}: cannot be written ({error.strerror}); allow it, or name another place"
        ) from None


def _no_special(file: Path) -> None:
    """Refuse a folder, and a device or a pipe, whose place a draft would take."""
    if file.exists() and not file.is_file():
        raise FusionlabError(f"{file}: found a folder, a device or a pipe, expected a file")


def flush(path: Path) -> None:
    """Wait until a file, or what stands in a folder, is where a loss of power leaves it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
