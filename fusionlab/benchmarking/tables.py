"""Benchmark results as tables."""

from __future__ import annotations

import math
from collections.abc import Callable

from fusionlab.benchmarking.results import (
    BenchReport,
    FusionResult,
    Measure,
    Ratio,
    describe_modalities,
    ratios,
)
from fusionlab.reporting.table import ABSENT, Cell, Column, Group, Table, decimal

FIGURES: dict[str, Callable[[Measure], float | None]] = {
    "median ms": lambda m: m.median_seconds * 1e3,
    "p10": lambda m: m.p10_seconds * 1e3,
    "p90": lambda m: m.p90_seconds * 1e3,
    "items/s": lambda m: m.items_per_second,
    "peak MB": lambda m: m.peak_mb,
    "MFLOP": lambda m: m.flops / 1e6,
    "J": lambda m: m.joules,
}
SHARES: dict[str, Callable[[Measure], float]] = {
    "of matmul": lambda m: m.matmul_share,
    "of copy": lambda m: m.copy_share,
}


def bench_table(report: BenchReport) -> Table:
    """A group a workload, a row a strategy; joules only where they were counted."""
    counted = any(m.joules is not None for m in report.measures().values())
    headers = [header for header in (*FIGURES, *SHARES) if header != "J" or counted]
    workloads = dict.fromkeys(name for _, name in report.measures())
    gflops = report.ceilings.matmul_gflops
    return Table(
        title=f"Fusion strategies on {report.machine.device}",
        columns=[Column("fusion", "text"), Column("parameters"), *map(Column, headers)],
        groups=[
            Group(name, [_row(r, name, headers) for r in report.results if name in r.workloads])
            for name in workloads
        ],
        notes=[
            _setting(report),
            "Ceilings: "
            + ", ".join(f"{three(value)} GFLOP/s {name}" for name, value in gflops.items())
            + f", {three(report.ceilings.copy_gb_per_second)} GB/s copied (read and written).",
            _where(report),
        ],
    )


def compare_table(old: BenchReport, new: BenchReport, names: tuple[str, str]) -> Table:
    """New over old medians, a group a workload; the notes say in what the two calls differ."""
    found = ratios(old, new)
    workloads = dict.fromkeys(ratio.workload for ratio in found)
    reports = {"old": old, "new": new}
    notes = [
        f"{key} = {name}: {_where(report)}"
        for (key, report), name in zip(reports.items(), names, strict=True)
    ]
    notes += _differences(old, new)
    notes += _changed(old, new)
    both = {ratio.fusion for ratio in found}
    left_out = [
        f"{one.label} (only {key})"
        for key, report in reports.items()
        for one in report.results
        if one.label not in both
    ]
    if left_out:
        notes.append(f"Not compared: {', '.join(left_out)}.")
    return Table(
        title="Seconds, new / old: below 1 is faster",
        columns=[
            Column("fusion", "text"),
            Column("old ms (p10 to p90)"),
            Column("new ms (p10 to p90)"),
            Column("new / old"),
        ],
        groups=[
            Group(name, [_ratio_row(ratio) for ratio in found if ratio.workload == name])
            for name in workloads
        ],
        notes=[_setting(new), *notes],
    )


def three(value: float) -> str:
    """Three significant digits without an exponent: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _row(result: FusionResult, workload: str, headers: list[str]) -> list[Cell]:
    one = result.workloads[workload]
    cells = [Cell(result.label), Cell(f"{result.parameters:,}", result.parameters)]
    for header in headers:
        if header in SHARES:
            share = SHARES[header](one)
            cells.append(Cell(decimal(share, 3), share))
        else:
            value = FIGURES[header](one)
            cells.append(ABSENT if value is None else Cell(three(value), value))
    return cells


def _ratio_row(ratio: Ratio) -> list[Cell]:
    seconds = [
        Cell(
            f"{three(m.median_seconds * 1e3)} "
            f"({three(m.p10_seconds * 1e3)} to {three(m.p90_seconds * 1e3)})",
            m.median_seconds,
        )
        for m in (ratio.old, ratio.new)
    ]
    return [Cell(ratio.fusion), *seconds, Cell(f"{ratio.ratio:.2f}", ratio.ratio)]


def _setting(report: BenchReport) -> str:
    one = report.setting
    return (
        f"{one.items:,} items a step, {one.catalogue:,} in the catalogue; "
        f"{describe_modalities(one.modalities)} to {one.dim}; {one.precision}; "
        f"{one.rounds} rounds; MB = 10^6 bytes."
    )


def _where(report: BenchReport) -> str:
    machine, threads = report.machine, report.setting.threads
    return (
        f"{machine.device}, threads {threads}, torch {machine.torch}, "
        f"fusionlab {machine.fusionlab}, {machine.date}"
    )


def _changed(old: BenchReport, new: BenchReport) -> list[str]:
    """Strategies that are no longer the same work."""
    before = {one.label: one for one in old.results}
    changed = []
    for one in new.results:
        was = before.get(one.label)
        if was is None:
            continue
        if was.parameters != one.parameters:
            changed.append(f"{one.label}: {was.parameters:,} parameters, now {one.parameters:,}.")
        for name, measure in one.workloads.items():
            flops = was.workloads[name].flops if name in was.workloads else measure.flops
            if flops != measure.flops:
                changed.append(
                    f"{one.label}, {name}: {three(flops / 1e6)} MFLOP, "
                    f"now {three(measure.flops / 1e6)}."
                )
    return changed


def _differences(old: BenchReport, new: BenchReport) -> list[str]:
    """What stops the ratio from being the code's alone."""
    pairs = {
        "device": (old.machine.device, new.machine.device),
        "threads": (old.setting.threads, new.setting.threads),
        "torch": (old.machine.torch, new.machine.torch),
        "rounds": (old.setting.rounds, new.setting.rounds),
    }
    return [
        f"Ratios compare only in part: the {key} differ: {before} and {after}."
        for key, (before, after) in pairs.items()
        if before != after
    ]
