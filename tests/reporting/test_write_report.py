from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import METRICS, MakeRow

from fusionlab.errors import FusionlabError
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import Results
from fusionlab.studies.record import Row


def test_all_files_and_nothing_else(paper: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    paths = write_report(Results("Study", paper, METRICS, "ndcg@20"), folder).files
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    assert {path.name for path in paths} == {
        *(
            f"{name}.{suffix}"
            for name in ("quality", "cost")
            for suffix in ("md", "csv", "tex", "html")
        ),
        *(
            f"{name}.{suffix}"
            for name in ("seed_spread", "quality_against_cost")
            for suffix in ("pdf", "png")
        ),
        "study.json",
    }
    assert (folder / "quality.md").read_text().startswith("### Study: quality\n")
    first = {path.name: path.read_bytes() for path in paths}
    write_report(Results("Study", paper, METRICS, "ndcg@20"), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_a_mistake_leaves_the_old_report_alone(paper: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_report(Results("Study", paper, METRICS, "ndcg@20"), folder)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(FusionlabError, match="reference"):
        write_report(Results("New", paper, METRICS, "ndcg@20", reference="nobody"), folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_controls_alone_have_no_cost_figure(make_row: MakeRow, tmp_path: Path) -> None:
    rows = [make_row("popularity", "control", mean=0.1), make_row("IDs only", "control")]
    paths = write_report(Results("Controls", rows, METRICS, "ndcg@20"), tmp_path / "r").files
    assert {path.stem for path in paths} == {"quality", "cost", "seed_spread", "study"}
