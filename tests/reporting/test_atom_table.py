import statistics
from dataclasses import replace

import pytest
from fake_runs import MakeRow

from fusionlab.reporting.atoms import atom_table, known_atoms


def with_gains(row, task="recommendation", oracle=None, **found):
    truth = {"gain": found, "oracle_gain": oracle or {}}
    records = [replace(r, truth=truth, config=r.config | {"task": task}) for r in row.records]
    return replace(row, records=records)


def values_of(table, place=0):
    cells = list(table.rows())[place]
    return {c.name: cell.value for c, cell in zip(table.columns, cells, strict=True)}


def test_shares_are_of_what_is_achievable(make_row: MakeRow) -> None:
    rows = [
        with_gains(make_row("concat"), redundant=1.2, synergy=0.0, idle=0.3),
        with_gains(
            make_row("achievable, all atoms", kind="ceiling"),
            redundant=0.8,
            synergy=0.5,
            idle=0.001,
        ),
    ]
    assert known_atoms(rows) == ["redundant", "synergy", "idle"]
    table = atom_table(rows)
    found = values_of(table)
    assert found["redundant"] == pytest.approx(1.5)
    assert found["synergy"] == 0
    assert found["idle"] is None  # next to nothing could be gained from it
    assert found["all"] == pytest.approx(1.5 / 1.301)
    assert found["redundant sd"] == pytest.approx(0)
    assert "achievable, all atoms" in table.notes[0]
    assert "above 1" in table.notes[0]


def test_unit_and_spread_are_over_seeds(make_row: MakeRow) -> None:
    def over_seeds(row, gains):
        records = [
            replace(r, truth={"gain": {"synergy": gain}})
            for r, gain in zip(row.records, gains, strict=True)
        ]
        return replace(row, records=records)

    ceiling = make_row("achievable, all atoms", kind="ceiling")
    seeds = len(ceiling.records)
    rows = [
        over_seeds(make_row("concat"), [0.1 * (n + 1) for n in range(seeds)]),
        over_seeds(ceiling, [1.0 + n for n in range(seeds)]),
    ]
    found = values_of(atom_table(rows))
    unit = 1 + (seeds - 1) / 2
    assert found["synergy"] == pytest.approx(0.1 * (seeds + 1) / 2 / unit)
    assert found["synergy sd"] == pytest.approx(
        statistics.stdev(0.1 * (n + 1) for n in range(seeds)) / unit
    )
    one = [replace(row, records=row.records[:1]) for row in rows]
    assert values_of(atom_table(one))["synergy sd"] is None


def test_without_an_achievable_row_shares_are_of_what_the_truth_gains(make_row: MakeRow) -> None:
    oracle = {"redundant": 0.5, "synergy": 0.25}
    row = with_gains(
        replace(make_row("sum"), additive=True),
        "classification",
        oracle=oracle,
        redundant=0.25,
        synergy=0.05,
    )
    table = atom_table([row])
    found = values_of(table)
    assert found["redundant"] == pytest.approx(0.5)
    assert found["synergy"] == pytest.approx(0.2)
    assert found["all"] == pytest.approx(0.4)
    assert "accuracy above chance" in table.notes[0]
    assert next(table.rows())[1].text == "yes"


def test_real_data_has_no_atom_table(make_row: MakeRow) -> None:
    assert known_atoms([make_row("concat")]) == []
    assert known_atoms([]) == []
