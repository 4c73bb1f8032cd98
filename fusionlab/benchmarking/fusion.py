"""The workloads of a fusion strategy at one size: forward, forward and backward, inference."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import fusionlab
from fusionlab.benchmarking.ceilings import DTYPES, last_level_cache, measure_ceilings
from fusionlab.benchmarking.results import (
    BenchReport,
    Ceilings,
    FusionResult,
    Machine,
    Measure,
    Setting,
)
from fusionlab.benchmarking.timer import Call, measure, peak_mb
from fusionlab.data.features import ItemFeatures
from fusionlab.data.memory import enough_memory
from fusionlab.errors import FusionlabError
from fusionlab.fusion.build import build_fusion
from fusionlab.fusion.contract import FUSIONS, Fusion
from fusionlab.linear import flops_of_onednn
from fusionlab.registry import Part
from fusionlab.training.items import fuse_catalogue

FIT_ITEMS = 4096
CPUINFO = Path("/proc/cpuinfo")


def bench(
    fusions: Sequence[Part | str],
    setting: Setting,
    *,
    on_fusion: Callable[[str], None] | None = None,
) -> BenchReport:
    """Measure every strategy on the same random inputs, and the device's ceilings once.

    ``on_fusion`` hears the name of each strategy that is done. Raises `FusionlabError` where the
    device is not there and `ConfigError` where a strategy is not known.
    """
    parts = [FUSIONS.parse(one) for one in fusions]
    _check_device(setting.device)
    results = []
    smaller = "the benchmark: lower items, catalogue, dim or the widths of modalities"
    with _threads(setting.threads), enough_memory(smaller):
        ceilings = measure_ceilings(setting.device, setting.precision)
        pool = draw_pool(setting, 2 * last_level_cache(setting.device))
        for part in parts:
            results.append(bench_fusion(part, setting, pool, ceilings))
            if on_fusion:
                on_fusion(part.name)
    return BenchReport(
        setting=setting, machine=_machine(setting.device), ceilings=ceilings, results=results
    )


def bench_fusion(
    part: Part, setting: Setting, pool: ItemFeatures, ceilings: Ceilings
) -> FusionResult:
    """Measure one strategy.

    ``forward`` and ``forward+backward`` are those of a training step of B items: training mode,
    the graph recorded, gradients of the sum of the views and the mean penalty; with bf16 under
    autocast on features held in bf16. ``inference`` fuses all N items as evaluation does
    (`fuse_catalogue`), without autocast. Every modality of every item is present. A strategy
    without trainable parameters has no backward. Combining view scores is not in it.
    """
    torch.manual_seed(0)
    fusion = build_fusion(part, pool.specs, setting.dim).to(setting.device)
    first = _window(pool, 0, min(FIT_ITEMS, len(pool)))
    fusion.fit(first.to(dtype=torch.float32))
    parameters = sum(p.numel() for p in fusion.parameters() if p.requires_grad)
    workloads = {
        name: _measure(call, items, setting, pool, ceilings)
        for name, call, items in _workloads(fusion, setting, pool)
    }
    options = part.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    return FusionResult(
        fusion=part.name, options=options, parameters=parameters, workloads=workloads
    )


def _workloads(
    fusion: Fusion, setting: Setting, pool: ItemFeatures
) -> Iterator[tuple[str, Call, int]]:
    """Name, call and number of items; the strategy is set to the mode of the one handed out."""
    batches, catalogues = rotate(pool, setting.items), rotate(pool, setting.catalogue)
    autocast = torch.autocast(
        torch.device(setting.device).type, torch.bfloat16, enabled=setting.precision == "bf16"
    )

    def loss() -> Tensor:
        with autocast:
            fused = fusion(next(batches))
            total = fused.views.float().sum()
            return total if fused.penalty is None else total + fused.penalty.float().mean()

    def forward() -> None:
        with autocast:
            fusion(next(batches))

    def step() -> None:
        loss().backward()
        fusion.zero_grad(set_to_none=True)  # so that every round allocates its gradients

    fusion.train()
    yield "forward", forward, setting.items
    if fusion.trainable:
        yield "forward+backward", step, setting.items
    # torch's counter hooks what asks for gradients, and stumbles over views made without a graph.
    fusion.eval().requires_grad_(False)
    yield (
        "inference",
        lambda: fuse_catalogue(fusion, next(catalogues), setting.catalogue),
        setting.catalogue,
    )


def _measure(
    call: Call, items: int, setting: Setting, pool: ItemFeatures, ceilings: Ceilings
) -> Measure:
    """Memory, FLOPs and time of a call that reads ``items`` items of the pool."""
    timing = measure(call, device=setting.device, rounds=setting.rounds)
    flops = count_flops(call)
    peak = ceilings.matmul_gflops[setting.precision] * 1e9
    read = items * bytes_per_item(pool) / timing.median
    return Measure(
        rounds=timing.rounds,
        median_seconds=timing.median,
        p10_seconds=timing.p10,
        p90_seconds=timing.p90,
        items_per_second=items / timing.median,
        peak_mb=peak_mb(call, setting.device),
        joules=timing.joules,
        flops=flops,
        matmul_share=flops / timing.median / peak,
        copy_share=read / (ceilings.copy_gb_per_second * 1e9),
    )


def count_flops(call: Call) -> int:
    """FLOPs of the matrix products of one call, a multiplication and an addition being two.

    By torch's counter, which has to be told of oneDNN's products. Attention is taken apart into its
    products: the counter knows the fused kernels of a GPU, but not those of a CPU.
    """
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False, custom_mapping=flops_of_onednn()) as counter,
    ):
        call()
    return int(counter.get_total_flops())


def draw_pool(setting: Setting, least_bytes: int) -> ItemFeatures:
    """Random features of enough items to fill ``least_bytes``, two batches and one catalogue."""
    specs, dtype = setting.modalities, DTYPES[setting.precision]
    width = sum(spec.tokens * (spec.dim * dtype.itemsize + 1) for spec in specs.values())
    rows = max(-(-least_bytes // width), 2 * setting.items, setting.catalogue)
    if rows * width > sys.maxsize:
        raise MemoryError(f"{rows * width} bytes of features")
    draw = torch.Generator(setting.device).manual_seed(0)
    values, mask = {}, {}
    for name, spec in specs.items():
        shape = (rows, spec.tokens, spec.dim)
        values[name] = torch.randn(shape, generator=draw, device=setting.device, dtype=dtype)
        mask[name] = torch.ones(rows, spec.tokens, dtype=torch.bool, device=setting.device)
    return ItemFeatures(values, mask)


def rotate(pool: ItemFeatures, size: int) -> Iterator[ItemFeatures]:
    """Windows of ``size`` items one after the other, for ever; they share nothing within a turn.

    Where the pool exceeds the cache, a window has left it by the time it comes again.
    """
    return (_window(pool, start, size) for start in cycle(range(0, len(pool) - size + 1, size)))


def bytes_per_item(pool: ItemFeatures) -> int:
    """Bytes of one item's values and masks."""
    return sum(x[0].nbytes for x in (*pool.values.values(), *pool.mask.values()))


def _window(pool: ItemFeatures, start: int, size: int) -> ItemFeatures:
    end = start + size
    return ItemFeatures(
        {name: x[start:end] for name, x in pool.values.items()},
        {name: mask[start:end] for name, mask in pool.mask.items()},
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    count = torch.cuda.device_count()
    index = torch.device(device).index or 0
    if index >= count:
        raise FusionlabError(
            f"device: found {device!r}, but torch sees {count} GPUs here; expected one of them, or "
            "cpu"
        )


def _machine(device: str) -> Machine:
    return Machine(
        device=_cpu_name() if device == "cpu" else torch.cuda.get_device_name(device),
        torch=torch.__version__,
        fusionlab=fusionlab.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cpu_name() -> str:
    """As Linux calls the processor; elsewhere what Python knows of it."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
