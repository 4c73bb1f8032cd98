"""Fake runs with known figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fusionlab.studies.record import Cost, Row, RunRecord

USERS = 40
METRICS = ("recall@20", "ndcg@20")
MakeRow = Callable[..., Row]


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
            RunRecord(
                **{
                    **vars(record),
                    "coalition_training": coalitions,
                    "cost": Cost(1234567, 10 + i, seconds * (i + 1), seconds / 10, 0.5, 900.0),
                }
            )
            for i, record in enumerate(records)
        ]
        return Row(label, kind, records, level)

    return make


def fake_run(
    folder: Path,
    label: str,
    seed: int,
    test: float,
    valid: float,
    users: Sequence[Any],
    noise: float,
) -> RunRecord:
    run = sha256(f"{label} {seed}".encode()).hexdigest()
    rng = np.random.default_rng(int(run[:8], 16))
    frames, means = [], {}
    for split, mean in (("valid", valid), ("test", test)):
        values = {}
        for k, metric in enumerate(METRICS):
            deviation = rng.normal(size=len(users)) * noise
            values[metric] = mean / (k + 1) + deviation - deviation.mean()
        frames.append(pl.DataFrame({"user": users, "split": [split] * len(users), **values}))
        means[split] = {m: float(v.mean()) for m, v in values.items()} | {"coverage@20": 0.5}
    (folder / run).mkdir(exist_ok=True)
    # Readers must not rely on the order of users in a file.
    table = pl.concat(frames).sample(fraction=1, shuffle=True, seed=seed)
    table.write_parquet(folder / run / "per_user.parquet")
    return RunRecord(
        id=run,
        config={"seed": seed},
        dataset={"name": "fake"},
        environment={"machine": "test bench", "threads": "1"},
        metrics=means,
        cost=Cost(1, 1, 1.0, 1.0, 1.0, 1.0),
        history=[],
        coalition_training="none",
        test_opened=[],
        folder=folder / run,
    )


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
