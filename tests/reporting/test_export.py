"""An export needs nothing else: its tables are built again from it, elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_runs import METRICS, stored

from fusionlab.errors import FusionlabError
from fusionlab.reporting.export import export
from fusionlab.reporting.results import Results
from fusionlab.studies.record import Row


@pytest.fixture
def results(paper: list[Row]) -> Results:
    stored(paper)
    return Results("Study", paper, METRICS, "ndcg@20")


@pytest.mark.slow
def test_elsewhere_the_tables_are_the_same_bytes(results: Results, tmp_path: Path) -> None:
    folder = export(results, tmp_path / "here" / "out")
    elsewhere = tmp_path / "elsewhere" / "copy"
    shutil.copytree(folder, elsewhere)
    shutil.rmtree(folder)
    for row in results.rows:  # the runs that it was made from are gone
        for record in row.records:
            shutil.rmtree(record.folder, ignore_errors=True)
    for name in ("quality.tex", "cost.html"):
        words = ["table", "--check", name]
        done = subprocess.run(
            [sys.executable, "-m", "fusionlab", *words],
            cwd=elsewhere,
            env={**os.environ, "FUSIONLAB_RUNS": str(tmp_path / "no runs")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert f"{name}: the same bytes" in done.stdout


def test_what_is_in_it(results: Results, tmp_path: Path) -> None:
    folder = export(results, tmp_path / "out")
    for row in results.rows:
        for record in row.records:
            run = folder / "runs" / record.id
            assert {file.name for file in run.iterdir()} == {
                "record.json",
                "config.yaml",
                "per_user.parquet",
            }
    assert (folder / "quality_against_cost.pdf").is_file()
    assert "torch==" in (folder / "requirements.txt").read_text()
    readme = (folder / "README.md").read_text()
    assert "fusionlab table . --check quality.tex" in readme
    sums = dict(
        reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert sums.keys() == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_the_study_and_its_plug_ins_come_along(results: Results, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    config = {"title": "Study", "experiment": {"plugins": [str(plugin), "a_module"]}}
    asked = Results("Study", results.rows, METRICS, "ndcg@20", config=config)
    folder = export(asked, tmp_path / "out")
    assert (folder / "plugins" / "mine.py").read_text() == "x = 1\n"
    study = yaml.safe_load((folder / "study.yaml").read_text())
    assert study["experiment"]["plugins"] == ["plugins/mine.py", "a_module"]
    twice = {"experiment": {"plugins": [str(plugin), str(tmp_path / "other" / "mine.py")]}}
    with pytest.raises(FusionlabError, match="different names"):
        export(Results("Study", results.rows, METRICS, "ndcg@20", config=twice), tmp_path / "new")
    assert sorted(file.name for file in tmp_path.glob(".*")) == []  # no draft is left


def test_a_folder_that_is_there_is_not_touched(results: Results, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FusionlabError, match="is there already"):
        export(results, tmp_path / "out")
