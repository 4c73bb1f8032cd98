"""Cores of this machine that a process has to itself, claimed by file locks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path(tempfile.gettempdir()) / "fusionlab-cores"
"""One lock a core, shared by everybody who works on this machine."""

CPUS = Path("/sys/devices/system/cpu")
"""Where Linux tells which hardware threads are of one physical core."""

SECONDS = 10.0
"""Claiming takes milliseconds; whoever would wait longer for his turn goes without."""

_held: list[FileLock] = []


def pin(count: int, folder: Path = FOLDER) -> bool:
    """Claim ``count`` free cores and keep this process on them until it ends.

    False, and the process goes on as it was, where so many are not free, where the locks cannot be
    opened, or where the system pins nobody (not Linux). However a process ends, the operating
    system frees its locks.
    """
    if not hasattr(os, "sched_setaffinity"):
        return False
    with suppress(OSError, Timeout):
        _make(folder)
        # One at a time: else two could each hold a half of what both need.
        with _lock(folder / "claiming.lock").acquire(timeout=SECONDS):
            claimed = _claim(count, folder)
        if len(claimed) == count:
            os.sched_setaffinity(0, claimed)
            _held.extend(claimed.values())
            return True
        for lock in claimed.values():
            lock.release()
    return False


def _claim(count: int, folder: Path) -> dict[int, FileLock]:
    """The first ``count`` cores that are free, or fewer; those first that share no execution units.

    Linux counts hardware threads as cores, on many virtual machines one beside the other.
    """
    claimed: dict[int, FileLock] = {}
    allowed = os.sched_getaffinity(0)
    for core in sorted(allowed, key=lambda core: (_elder_siblings(core, allowed), core)):
        if len(claimed) == count:
            break
        lock = _lock(folder / f"{core}.lock")
        with suppress(OSError, Timeout):
            lock.acquire(timeout=0)
            claimed[core] = lock
    return claimed


def _elder_siblings(core: int, allowed: Set[int]) -> int:
    """How many ``allowed`` hardware threads of the same physical core have lower numbers; 0 where
    Linux does not tell."""
    with suppress(OSError, ValueError):
        said = (CPUS / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
        ranges = [list(map(int, part.split("-"))) for part in said.split(",")]
        threads = {thread for ends in ranges for thread in range(ends[0], ends[-1] + 1)}
        return sum(thread < core for thread in threads & allowed)
    return 0


def _make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):  # another user made it, and opened it to all
        folder.chmod(0o1777)  # as a temporary folder: nobody puts links in the place of locks


def _lock(file: Path) -> FileLock:
    return FileLock(file, mode=0o666, thread_local=False)
