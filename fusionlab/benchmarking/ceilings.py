"""What the device can do at most: its measured matrix-product and copy rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from fusionlab.benchmarking.results import Ceilings, Precision
from fusionlab.benchmarking.timer import measure
from fusionlab.linear import linear

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ROUNDS = 7
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
LEAST_CACHE = 32 * 2**20
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def last_level_cache(device: str) -> int:
    """Bytes of the largest cache of the device; 32 MiB where the system does not tell, or less."""
    if device != "cpu":
        return max(int(torch.cuda.get_device_properties(device).L2_cache_size), LEAST_CACHE)
    sizes = [file.read_text().strip() for file in CACHES.glob("index*/size")]
    return max([int(size[:-1]) * UNITS[size[-1]] for size in sizes] + [LEAST_CACHE])


def measure_ceilings(
    device: str,
    precision: Precision,
    *,
    side: int | None = None,
    cache: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Ceilings:
    """The best of seven rounds each, on the threads that are set.

    GFLOP/s = 2 n^3 / seconds of an n x n product in the ``precision``, with n = ``side`` (2048 on a
    CPU, 8192 on a GPU); TF32 is used only if torch was told so. GB/s = (bytes read + bytes
    written) / seconds of copying a tensor twice as large as the last-level ``cache`` (McCalpin
    1995, STREAM's count).
    """
    n = side or (2048 if device == "cpu" else 8192)

    a, b = (torch.randn(n, n, device=device, dtype=DTYPES[precision]) for _ in range(2))
    product = measure(lambda: linear(a, b), device=device, rounds=ROUNDS, warmup=1, clock=clock)
    size = 2 * (cache or last_level_cache(device))
    source = torch.ones(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = measure(lambda: target.copy_(source), device=device, rounds=ROUNDS, clock=clock)
    return Ceilings(
        matmul_gflops={precision: 2 * n**3 / product.best / 1e9},
        copy_gb_per_second=2 * size / copy.best / 1e9,
    )
