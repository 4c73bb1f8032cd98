"""What a benchmark asked, where it ran and what came out, as data and as a JSON file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fusionlab.data.disk import write_whole
from fusionlab.data.features import FeatureSpec, is_modality_name
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.registry import part_label
from fusionlab.schema import Section, validate
from fusionlab.sections import DEVICE, MOST_THREADS, Options

Precision = Literal["fp32", "bf16"]
SIZE = ("items", "catalogue", "modalities", "dim", "precision")
"""What two results must share, else their ratio says nothing."""
FINITE = ConfigDict(allow_inf_nan=False)
"""JSON as Python reads it has NaN and Infinity."""


class Setting(Options):
    """The size that is measured, and how it is run."""

    items: PositiveInt = Field(2048, description="B, items a step")
    catalogue: PositiveInt = Field(7050, description="N, items of the whole catalogue")
    modalities: dict[str, FeatureSpec] = Field(min_length=1)
    dim: PositiveInt = Field(64, description="D, the width of a view")
    precision: Precision = "fp32"
    device: str = Field("cpu", pattern=DEVICE, description="cpu, cuda or cuda:N")
    threads: Annotated[PositiveInt, Field(le=MOST_THREADS)] = 1
    rounds: PositiveInt = 20


class Machine(Options):
    """Where it ran: the device's name, versions, and the date (ISO 8601, UTC)."""

    device: str
    torch: str
    fusionlab: str
    python: str
    platform: str
    date: str


class Ceilings(Options):
    """The most that the device reaches: GFLOP/s by precision, GB/s read and written."""

    model_config = FINITE

    matmul_gflops: dict[Precision, float]
    copy_gb_per_second: float


class Measure(Options):
    """One workload of one strategy; every figure is a call's."""

    model_config = FINITE

    rounds: PositiveInt
    median_seconds: PositiveFloat
    p10_seconds: PositiveFloat
    p90_seconds: PositiveFloat
    items_per_second: PositiveFloat
    peak_mb: NonNegativeFloat
    joules: NonNegativeFloat | None
    flops: int = Field(ge=0, lt=2**63)
    matmul_share: NonNegativeFloat
    copy_share: NonNegativeFloat


class FusionResult(Options):
    """One strategy, the options that are not its defaults, its parameters and its workloads."""

    fusion: str
    options: dict[str, Any] = Field(default_factory=dict)
    parameters: int
    workloads: dict[str, Measure]

    @property
    def label(self) -> str:
        """Name and options, by which results are told apart: ``gated (gate=sigmoid)``."""
        return part_label({"name": self.fusion, **self.options})


class BenchReport(Options):
    """Everything that one call measured."""

    setting: Annotated[Setting, Section(Setting)]
    machine: Annotated[Machine, Section(Machine)]
    ceilings: Annotated[Ceilings, Section(Ceilings)]
    results: list[FusionResult]

    def measures(self) -> dict[tuple[str, str], Measure]:
        """Every measure by the strategy's label and workload."""
        return {(r.label, name): m for r in self.results for name, m in r.workloads.items()}

    def write(self, file: Path) -> Path:
        """Write the report as JSON; the file is whole or not there."""
        return write_whole(file, (self.model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def read(cls, file: Path) -> BenchReport:
        """Read what `write` wrote; raise `FusionlabError` with the file's name otherwise."""
        if not os.path.isfile(file):
            raise FusionlabError(f"{file}: no such file")
        try:
            data: Any = json.loads(file.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise FusionlabError(f"{file}: not valid JSON: {error}") from None
        try:
            return validate(cls, data)
        except ConfigError as error:
            raise error.written_in(lambda _path: str(file)) from None


@dataclass(frozen=True, slots=True)
class Ratio:
    """How one workload changed from the old to the new report; below 1 is faster."""

    fusion: str
    workload: str
    old: Measure
    new: Measure

    @property
    def ratio(self) -> float:
        """New median over old median."""
        return self.new.median_seconds / self.old.median_seconds


def ratios(old: BenchReport, new: BenchReport) -> list[Ratio]:
    """Medians of what both reports measured, side by side.

    Raises `FusionlabError` where the sizes or precisions differ, or nothing is in both.
    """
    for key in SIZE:
        before, after = getattr(old.setting, key), getattr(new.setting, key)
        if before != after:
            raise FusionlabError(
                f"these results do not compare: {key} is {_words(before)} in the old file and "
                f"{_words(after)} in the new one"
            )
    first, second = old.measures(), new.measures()
    found = [Ratio(*key, first[key], second[key]) for key in first if key in second]
    if not found:
        names = [", ".join(r.label for r in report.results) for report in (old, new)]
        raise FusionlabError(
            f"found no fusion in both files: the old one has {names[0] or 'none'}, "
            f"the new one {names[1] or 'none'}"
        )
    return found


def parse_modalities(written: Sequence[str]) -> dict[str, FeatureSpec]:
    """``text=384`` is one vector of width 384, ``image=49x512`` 49 tokens of width 512."""
    specs: dict[str, FeatureSpec] = {}
    for one in written:
        match = re.fullmatch(r"(\w+)=(?:([1-9]\d*)x)?([1-9]\d*)", one)
        if match is None:
            raise FusionlabError(
                f"--modality: found {one!r}, expected NAME=WIDTH or NAME=TOKENSxWIDTH"
            )
        if not is_modality_name(match[1]):
            raise FusionlabError(
                f"--modality: found the name {match[1]!r}, which is reserved; expected another"
            )
        if match[1] in specs:
            raise FusionlabError(f"--modality: found {match[1]!r} twice, expected each name once")
        specs[match[1]] = FeatureSpec(int(match[3]), int(match[2] or 1))
    return specs


def describe_modalities(specs: dict[str, FeatureSpec]) -> str:
    """The inverse of `parse_modalities`, joined by commas."""
    return ", ".join(f"{name}={spec.tokens}x{spec.dim}" for name, spec in specs.items())


def _words(value: Any) -> str:
    return describe_modalities(value) if isinstance(value, dict) else str(value)
