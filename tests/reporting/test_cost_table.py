from __future__ import annotations

from dataclasses import replace

import pytest
from fake_runs import MakeRow

from fusionlab.errors import FusionlabError
from fusionlab.reporting.cost import cost_table
from fusionlab.studies.record import Row


def test_medians_with_range(make_row: MakeRow) -> None:
    table = cost_table([make_row("gated", seconds=7.0), make_row("oracle", "ceiling")])
    (row,) = table.rows()
    found = {column.name: cell for column, cell in zip(table.columns, row, strict=True)}
    assert found["seconds"].text == "14.0 (7.00–21.0)"
    assert (found["seconds"].value, found["seconds min"].value, found["seconds max"].value) == (
        14.0,
        7.0,
        21.0,
    )
    assert found["parameters"].text == "1,234,567"
    assert found["epochs"].text == "11 (10–12)"
    assert found["evaluation s"].text == "0.500"
    assert found["peak MB"].text == "900"


def test_runs_of_several_machines_are_noted(make_row: MakeRow) -> None:
    row = make_row("gated")
    notes = cost_table([row]).notes
    assert "Measured with: machine test bench, threads 1." in notes
    moved = replace(row.records[0], environment={"machine": "laptop", "threads": "1"})
    notes = cost_table([replace(row, records=[moved, *row.records[1:]])]).notes
    assert "Measured with: threads 1." in notes
    assert any("differ in machine" in note and "laptop" in note for note in notes)


def test_nothing_trained_nothing_to_report(make_row: MakeRow) -> None:
    with pytest.raises(FusionlabError, match="no rows that were trained"):
        cost_table([make_row("oracle", "ceiling")])
    with pytest.raises(FusionlabError, match="'gated': found no runs"):
        cost_table([Row("gated", "strategy", [])])
