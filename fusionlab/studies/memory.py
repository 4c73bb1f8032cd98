"""Peak memory of one run inside a process that does several."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


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
