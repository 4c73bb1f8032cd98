"""Fake runs with known figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fusionlab.studies.record import Cost, Row, RunRecord
from fusionlab.studies.store import RunStore

USERS = 40
METRICS = ("recall@20", "ndcg@20")
MakeRow = Callable[..., Row]


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


def row_maker(folder: Path) -> MakeRow:
    """Makes a row of runs in ``folder``; ``mean`` is each user's score on test, up to noise that
    averages to zero."""

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
            fake_run(folder, label, seed, mean + shift, (valid or mean) + shift, users, noise)
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


def stored(rows: Sequence[Row]) -> RunStore:
    """A store with the fake runs of these rows, as if they had been run in it."""
    for record in (record for row in rows for record in row.records):
        assert record.folder is not None
        (record.folder / "record.json").write_text(json.dumps(record.to_json()))
        (record.folder / "config.yaml").write_text("seed: 0\n")
    assert rows[0].records[0].folder is not None
    return RunStore(rows[0].records[0].folder.parent)
