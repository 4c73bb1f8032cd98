"""Time, memory and energy of a call."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

Call = Callable[[], object]
Clock = Callable[[], float]
WARMUP = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a call over the ``rounds``, and joules a call (None where nothing counts them)."""

    rounds: int
    median: float
    p10: float
    p90: float
    best: float
    joules: float | None = None


def measure(
    call: Call,
    *,
    device: str = "cpu",
    rounds: int = 20,
    warmup: int = WARMUP,
    clock: Clock = time.perf_counter,
) -> Timing:
    """Call ``warmup`` times unmeasured, then time ``rounds`` calls one by one.

    On a GPU a round lies between two CUDA events and ends synchronised, so rounds do not overlap;
    on a CPU ``clock`` (monotonic, in seconds) is read before and after. Percentiles are
    interpolated linearly. Energy is the device's counter over all rounds divided by their number:
    it counts the whole device, whoever uses it, and steps about every .1 s, so that it means little
    where all rounds together are shorter than that.
    """
    for _ in range(warmup):
        call()
    energy = energy_counter(device)
    before = energy() if energy else 0.0
    lap = _cpu_lap if device == "cpu" else _cuda_lap
    seconds = np.array([lap(call, device, clock) for _ in range(rounds)])
    joules = (energy() - before) / rounds if energy else None
    p10, median, p90 = np.percentile(seconds, (10, 50, 90)).tolist()
    return Timing(rounds, median, p10, p90, float(seconds.min()), joules)


def _cpu_lap(call: Call, _device: str, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start


def _cuda_lap(call: Call, device: str, _clock: Clock) -> float:
    with torch.cuda.device(device):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3


def peak_mb(call: Call, device: str = "cpu") -> float:
    """Most memory that torch held at once during one call, in MB (10^6 bytes).

    Counted from what was held when the call began: inputs and parameters are not in it; what the
    call allocates is (activations, gradients, results). On a GPU it is the caching allocator's
    peak of allocated bytes. On a CPU it is the running sum of every allocation and release that
    torch's profiler records; scratch space of the BLAS library is not in it, nor is what the
    C library keeps back of freed memory (a resident set would count that, and depend on what ran
    before).
    """
    if device == "cpu":
        return _cpu_peak(call) / 1e6
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 1e6


def _cpu_peak(call: Call) -> int:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it reports each start on stderr
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    changes.sort(key=lambda event: event["args"]["Ev Idx"])
    held = np.cumsum([0, *(event["args"]["Bytes"] for event in changes)])
    return int(held.max())


def energy_counter(device: str) -> Callable[[], float] | None:
    """Reads the joules that a GPU has drawn since its driver was loaded, by NVML.

    None on a CPU, without the package ``pynvml``, and where NVML does not tell.
    """
    if device == "cpu" or find_spec("pynvml") is None:
        return None
    nvml: Any = importlib.import_module("pynvml")

    def joules() -> float:
        torch.cuda.synchronize(device)
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    try:
        nvml.nvmlInit()
        # By UUID: NVML counts all GPUs, torch only the visible ones.
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        joules()
    except nvml.NVMLError:  # before Volta, a slice of a GPU, a driver of another version
        return None
    return joules
