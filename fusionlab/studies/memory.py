"""Memory of a run inside a process that does several: its peak, and pages that are used again."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")

# Of glibc's malloc.h, and what they are set to: the largest threshold that it takes, and 256 MB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT, ALL_KEPT = 32 << 20, 256 << 20


def keep_pages() -> bool:
    """Let the allocator keep what a step frees for the next step; False where it is not glibc's.

    By default glibc gives memory of the size of a table's gradient back to the system, which hands
    out zeroed pages anew in every step, while all threads of the process wait.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT), mallopt(M_TRIM_THRESHOLD, ALL_KEPT)
    return all(kept)


def reset_peak(device: str) -> None:
    """Start measuring anew. Where the system cannot (not Linux), the peak is the process's."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    elif os.access(CLEAR, os.W_OK):
        CLEAR.write_text("5")


def peak_mb(device: str) -> float:
    """Peak since `reset_peak` in MB (10^6 bytes): device memory on a GPU, resident set on a CPU."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
