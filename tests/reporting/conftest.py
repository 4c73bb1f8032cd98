from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runs import USERS, MakeRow, fake_run

from fusionlab.studies.record import Cost, Row


@pytest.fixture
def make_row(tmp_path: Path) -> MakeRow:
    """A row of runs; ``mean`` is each user's score on test, up to noise that averages to zero."""

    def make(
        label: str,
        kind: Any = "strategy",
        *,
        mean: float = 0.2,
        valid: float | None = None,
        seeds: Sequence[float] = (-0.01, 0.0, 0.01),
        level: str = "",
        users: Sequence[Any] = tuple(range(USERS)),
        coalitions: str = "none",
        seconds: float = 10.0,
        noise: float = 0.02,
    ) -> Row:
        records = [
            fake_run(tmp_path, label, seed, mean + shift, (valid or mean) + shift, users, noise)
            for seed, shift in enumerate(seeds)
        ]
        records = [
            replace(
                record,
                coalition_training=coalitions,
                cost=Cost(1234567, 10 + i, seconds * (i + 1), seconds / 10, 0.5, 900.0),
            )
            for i, record in enumerate(records)
        ]
        return Row(label, kind, records, level)

    return make


@pytest.fixture
def paper(make_row: MakeRow) -> list[Row]:
    """Eight strategies of three levels, five controls, two ceilings."""
    controls = {
        "popularity": 0.05,
        "IDs only": 0.11,
        "best single modality (image)": 0.17,
        "features shuffled": 0.06,
        "random": 0.01,
    }
    strategies = {
        "sum": ("feature", 0.18, 10.0),
        "concatenation": ("feature", 0.19, 12.0),
        "gated": ("feature", 0.205, 13.0),
        "late_mean": ("decision", 0.171, 11.0),
        "late_gated": ("decision", 0.192, 14.0),
        "low-rank tensor": ("model", 0.21, 40.0),
        "cross-attention": ("model", 0.208, 45.0),
        "mixture of experts": ("model", 0.2, 43.0),
    }
    rows = [make_row(name, "control", mean=mean) for name, mean in controls.items()]
    rows += [
        make_row(name, mean=mean, level=level, seconds=seconds)
        for name, (level, mean, seconds) in strategies.items()
    ]
    rows.append(make_row("oracle", "ceiling", mean=0.3, seeds=(0.0,)))
    rows.append(make_row("achievable, all atoms", "ceiling", mean=0.25, seeds=(0.0,)))
    return rows
