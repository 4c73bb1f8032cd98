from dataclasses import replace

import pytest
from fake_runs import MakeRow

from fusionlab.reporting.atoms import atom_table, known_atoms


def with_alignment(row, **found):
    records = [replace(record, truth={"alignment": found}) for record in row.records]
    return replace(row, records=records)


def test_shares_are_relative_to_what_is_achievable(make_row: MakeRow) -> None:
    rows = [
        with_alignment(make_row("concat"), redundant=1.2, synergy=0.0),
        with_alignment(
            make_row("achievable, all atoms", kind="ceiling"), redundant=0.8, synergy=0.5
        ),
    ]
    assert known_atoms(rows) == ["redundant", "synergy"]
    table = atom_table(rows)
    concat = next(table.rows())
    values = dict(zip([column.name for column in table.columns], concat, strict=True))
    assert values["redundant"].value == pytest.approx(1.5)
    assert values["synergy"].value == 0
    assert values["redundant sd"].value == pytest.approx(0)


def test_real_data_has_no_atom_table(make_row: MakeRow) -> None:
    assert known_atoms([make_row("concat")]) == []
    assert known_atoms([]) == []
