"""How much memory there is, and what to lower where it is too little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from fusionlab.errors import FusionlabError

REFUSED = ("can't allocate memory", "not enough memory", "cannot allocate memory", "bad_alloc")
"""What torch says on a CPU, where it has no error of its own for that."""

OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
LIMITS = {"": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}
"""Of both versions of control groups: the controller to its folder, and the file of the limit."""


def memory_size() -> int | None:
    """Bytes of memory that this process can have: the machine's, or what its control groups (of a
    container, a batch system) allow. None where the system tells neither (Windows)."""
    known = list(_limits())
    with suppress(AttributeError, OSError, ValueError):
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((size for size in known if size > 0), default=None)


def _limits() -> Iterator[int]:
    """What the process's groups, and those that they are in, allow; Linux only."""
    lines: list[str] = []
    with suppress(OSError):
        lines = OWN_GROUPS.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in LIMITS:
            folder, name = LIMITS[controllers]
            inside = Path(path.lstrip("/"))
            for group in (inside, *inside.parents):  # a container's own group is at the root
                with suppress(OSError, ValueError):  # no file, or "max"
                    yield int((GROUPS / folder / group / name).read_text())


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
