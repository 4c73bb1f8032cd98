"""What a finished run leaves behind."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from pydantic import NonNegativeInt, TypeAdapter

import fusionlab
from fusionlab.data.sealed import intact
from fusionlab.data.situations import column_of, context_in
from fusionlab.data.table_files import readable
from fusionlab.data.words import SCHEMA
from fusionlab.errors import FusionlabError
from fusionlab.studies.trials.records import Ledger, Spent

UNTRAINED = "none"
"""`RunRecord.coalition_training` of a model that never saw a subset of its modalities."""
WORDS_FILE = "words.parquet"
RUN_ID = re.compile(r"[\w-]+")
ANEW = "delete the folder and run again"
Kind = Literal["strategy", "control", "ceiling"]


@dataclass(frozen=True)
class Cost:
    """What a run took: parameters, epochs, seconds, peak resident memory (MB = 10^6 bytes)."""

    parameters: NonNegativeInt
    epochs: NonNegativeInt
    seconds: Spent
    seconds_per_epoch: Spent
    evaluation_seconds: Spent
    peak_memory_mb: Spent


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked, on what data, where, what came out and at which cost.

    ``metrics[split][metric]`` are means over users (or over items for classification) in full
    precision, for the splits ``valid`` and ``test``. ``truth`` holds, on synthetic data, the
    gain of each atom, found by the model and by one who knows the answer. ``source`` says where
    the model came from that this run began with: ``run``, and its dataset's ``name`` and
    ``fingerprint``; the cost of training it stands in its own record. ``warnings`` are sentences
    that a reader of the metrics must see, such as that a modality is not used.
    ``updated_from`` is empty unless the run is an update (`fusionlab.studies.update`): then the
    ``run`` it was made from, the ``root`` of all updates, and how.
    """

    id: str
    config: dict[str, Any]
    dataset: dict[str, Any]
    environment: dict[str, str]
    metrics: dict[str, dict[str, float]]
    cost: Cost
    history: list[dict[str, float]]
    coalition_training: str
    test_opened: list[dict[str, str]]
    truth: dict[str, Any] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    updated_from: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def per_user(self) -> pl.DataFrame:
        """One row a user and split: ``user`` (original id), ``split``, and a column a metric."""
        assert self.folder is not None, "a record that was not read from a store has no folder"
        file = self.folder / "per_user.parquet"
        with readable(file):
            found = pl.read_parquet(intact(file), glob=False)
        figures = found.drop("user", "split", strict=False).dtypes
        named = "user" in found.columns and found.schema.get("split") == pl.String
        if not named or not all(kind.is_numeric() or kind == pl.Null for kind in figures):
            raise FusionlabError(f"{file}: expected user, split and columns of numbers; {ANEW}")
        return found

    @property
    def root(self) -> str:
        """The id of the run that this one is an update of, by any number of steps; or its own."""
        return str(self.updated_from.get("root", self.id))

    def words(self) -> pl.DataFrame:
        """What an update was told (`fusionlab.data.words`) in which ``step``: 0, trained from the
        start with it, or the 1st, 2nd, ... tuning. No row if the run is no update."""
        schema = {**SCHEMA, "step": pl.Int64}
        file = None if self.folder is None else self.folder / WORDS_FILE
        if file is None or not file.is_file():
            return pl.DataFrame(schema=schema)
        with readable(file):
            found = pl.read_parquet(intact(file), glob=False)
        told = {column_of(name): pl.String() for name in context_in(found)}
        if dict(found.schema) != schema | told:
            raise FusionlabError(f"{file}: expected the columns {', '.join(schema)}; {ANEW}")
        return found

    def to_json(self) -> dict[str, Any]:
        """The record as plain data (without its folder)."""
        data = asdict(self)
        data.pop("folder")
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any], folder: Path) -> RunRecord:
        """Read back what `to_json` wrote; ValueError where it is something else."""
        written = json.dumps({**data, "folder": str(folder)})
        checked = _checked().validate_json(written, strict=True)
        if not all(map(RUN_ID.fullmatch, (checked.id, checked.root))):  # they name files
            raise ValueError(f"found the ids {checked.id!r}, {checked.root!r}")
        return cls(**{**data, "cost": Cost(**data["cost"]), "folder": folder})


@cache
def _checked() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


def environment() -> dict[str, str]:
    """Versions and machine, as they are now."""
    return {
        "fusionlab": fusionlab.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
    }


@dataclass(frozen=True)
class Row:
    """A row of a table: one configuration over several seeds."""

    label: str
    kind: Kind
    records: list[RunRecord]
    level: str = ""
    additive: bool = False
    """Does the strategy say that it expresses only sums of functions of single modalities?"""
    ledger: Ledger | None = None
    """What was tried to find its configuration; None: it ran as it is written."""
