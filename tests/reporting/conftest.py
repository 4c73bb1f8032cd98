from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import MakeRow, row_maker

from fusionlab.studies.record import Row


@pytest.fixture
def make_row(tmp_path: Path) -> MakeRow:
    """`row_maker` in the folder of the test."""
    return row_maker(tmp_path)


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
