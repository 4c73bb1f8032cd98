"""Every cell names its records, and a file says whether it is what the records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fake_runs import METRICS, MakeRow, stored

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.reporting.check import check_file
from fusionlab.reporting.report import FORMATS, write_report
from fusionlab.reporting.results import Results
from fusionlab.reporting.table import Table
from fusionlab.reporting.why import why
from fusionlab.studies.record import Row


@pytest.fixture
def results(paper: list[Row]) -> Results:
    return Results("Study", paper, METRICS, "ndcg@20")


def test_read_back_the_tables_are_the_same_bytes(results: Results, tmp_path: Path) -> None:
    store = stored(results.rows)
    report = write_report(results, tmp_path / "report")
    again = Results.read(tmp_path / "report", store)
    assert again.rows == results.rows
    for name, table in again.tables().items():
        for suffix, render in FORMATS.items():
            assert (tmp_path / "report" / f"{name}.{suffix}").read_text() == render(table)
            file = tmp_path / "report" / f"{name}.{suffix}"
            assert check_file(file, again.tables()) == name
    assert report.tables.keys() == again.tables().keys()


def test_a_changed_file_is_told_with_its_lines(results: Results, tmp_path: Path) -> None:
    tables = {"quality": results.tables()["quality"]}
    file = tmp_path / "table.tex"
    file.write_text(FORMATS["tex"](tables["quality"]))
    assert check_file(file, tables) == "quality"
    file.write_text(file.read_text().replace(".1050", ".1051"))
    with pytest.raises(
        FusionlabError, match=r"(?s)not what the run records say of quality.*\.1051"
    ):
        check_file(file, tables)
    file.write_bytes(FORMATS["tex"](tables["quality"]).replace("\n", "\r\n").encode())
    with pytest.raises(FusionlabError, match="line ends differ"):
        check_file(file, tables)
    with pytest.raises(FusionlabError, match="format: found 'pdf'"):
        check_file(tmp_path / "table.pdf", tables)
    with pytest.raises(FusionlabError, match="cannot be read"):
        check_file(tmp_path / "nowhere.tex", tables)


def values(table: Table, group: int = 0) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.groups[group].rows]


def test_a_mean_is_that_of_what_its_records_hold(results: Results) -> None:
    table = results.tables()["quality"]
    found = why("quality", table, results.rows, "gated", "ndcg@20")
    gated = next(row for row in results.rows if row.label == "gated")
    lines = values(found)
    assert [line[0] for line in lines] == [record.id[:12] for record in gated.records]
    assert [line[4] for line in lines] == [str(r.folder / "record.json") for r in gated.records]
    for line, record in zip(lines, gated.records, strict=True):
        assert float(line[2]) == record.metrics["test"]["ndcg@20"]
        assert float(line[3]) == pytest.approx(float(line[2]), abs=1e-9)
    cell = sum(float(line[2]) for line in lines) / len(lines)
    assert found.title == f"quality: gated, ndcg@20 = {_text(table, 'gated', 'ndcg@20')} ({cell!r})"
    assert "mean over seeds" in found.notes[0].lower()


def _text(table: Table, label: str, column: str) -> str:
    place = [one.name for one in table.columns].index(column)
    return next(row[place].text for row in table.rows() if row[0].text == label)


def test_a_verdict_names_the_rows_that_it_rests_on(results: Results) -> None:
    table = results.tables()["quality"]
    found = why("quality", table, results.rows, "gated", "vs control")
    names = [group.name for group in found.groups]
    assert names[:2] == ["gated", "best single modality (image)"]
    assert set(names) == {"best single modality (image)"} | {
        row.label for row in results.rows if row.kind == "strategy"
    }  # Holm's family
    found = why("quality", table, results.rows, "gated", "gain")
    assert [group.name for group in found.groups] == [
        "gated",
        "popularity",
        "achievable, all atoms",
    ]
    assert len(why("quality", table, results.rows, "popularity", "p (Holm)").groups) == 1


def test_every_cell_of_every_table_is_told(results: Results) -> None:
    for name, table in results.tables().items():
        for column in table.columns:
            for label in ("gated", "popularity"):
                found = why(name, table, results.rows, label, column.name)
                assert found.notes[0] != "."
                assert all(len(group.rows) == 3 for group in found.groups if group.name == label)
                shown = {cell.text for row in found.groups[0].rows for cell in row}
                assert "-" not in shown, column.name  # what it says to read is there


def test_unknown_cells(results: Results) -> None:
    table = results.tables()["quality"]
    with pytest.raises(FusionlabError, match="did you mean 'gated'"):
        why("quality", table, results.rows, "gatd", "ndcg@20")
    with pytest.raises(FusionlabError, match="did you mean 'ndcg@20'"):
        why("quality", table, results.rows, "gated", "ndgc@20")
    with pytest.raises(FusionlabError, match="column: found 'sd'"):  # heads two columns
        why("quality", table, results.rows, "gated", "sd")


def test_effect_sizes_stand_in_csv(results: Results, make_row: MakeRow) -> None:
    table = results.tables()["quality"]
    names = [one.name for one in table.columns]
    gated = next(row for row in table.rows() if row[0].text == "gated")
    d, low, high = (gated[names.index(name)].value for name in ("d", "d low", "d high"))
    assert low < d < high
    better, worse = (gated[names.index(f"users {side}")].value for side in ("better", "worse"))
    assert 0 <= worse < better <= 1
    assert not any(column.shown for column in table.columns if column.name.startswith("d "))


def test_what_is_no_report(tmp_path: Path, results: Results) -> None:
    store = stored(results.rows)
    with pytest.raises(FusionlabError, match=r"study\.json: no such file; expected a study"):
        Results.read(tmp_path / "nowhere", store)
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(FusionlabError, match="not the results of a study"):
        Results.read(tmp_path, store)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(FusionlabError, match=r"not the results of a study \(no key 'rows'\)"):
        Results.read(tmp_path, store)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": 5}, r"metrics: found 5, expected a list: \[5\]\)"),
        ({"main": None}, "main"),
        ({"title": ["Study"]}, "title"),
        ({"rows": [{"label": 1}]}, "label"),
        ({"rows": [{"runs": ["../elsewhere"]}]}, "a run without a name"),
        ({"rows": [{"runs": [None]}]}, "a run without a name"),
        ({"rows": [{"ledger": {"search": "5ea7c4"}}]}, "trials"),
    ],
)
def test_results_of_another_kind_are_refused(
    tmp_path: Path, results: Results, change: dict[str, Any], message: str
) -> None:
    store = stored(results.rows)
    file = results.write(tmp_path)
    data = json.loads(file.read_text())
    rows = change.get("rows", [])
    changed = [row | more for row, more in zip(data["rows"], rows, strict=False)]
    file.write_text(json.dumps({**data, **change, "rows": changed or data["rows"]}))
    with pytest.raises(FusionlabError, match=f"(?s)not the results of a study.*{message}"):
        Results.read(tmp_path, store)


def test_a_folder_in_the_place_of_results_is_refused(tmp_path: Path, results: Results) -> None:
    (tmp_path / "study.json").mkdir()
    with pytest.raises(FusionlabError, match="not the results of a study"):
        Results.read(tmp_path, stored(results.rows))


@pytest.mark.parametrize("command", [["export"], ["table"], ["power", "--difference", "0.1"]])
def test_a_file_in_the_place_of_a_report_is_told(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "study.json"
    file.write_text("{}")
    found = CliRunner().invoke(main, [*command, str(file)])
    assert found.exit_code == 1
    said = " ".join(found.output.split())
    assert f"{file}: found a file, expected a study (.yaml), or the folder of a report" in said
    assert said.endswith(f"such as {tmp_path}")
    file = file.rename(tmp_path / "quality.tex")
    said = " ".join(CliRunner().invoke(main, [*command, str(file)]).output.split())
    assert said.endswith("or the folder of a report or of an export")
