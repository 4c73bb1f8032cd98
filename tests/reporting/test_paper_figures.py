"""Every script of paper_figures draws its figure from records, alone, at column width."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import METRICS, row_maker, stored
from matplotlib.image import imread

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.contribution import Effect
from fusionlab.evaluation.knockouts import KNOCKOUTS
from fusionlab.reporting.contribution_figure import contribution_figure
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import Results
from fusionlab.reporting.style import DPI, SINGLE_WIDTH
from fusionlab.studies.audited import Audit, ModalityAudit
from fusionlab.studies.trials.records import Ledger, Trial

ROOT = Path(__file__).parents[2]
SCRIPTS = {file.stem: file for file in (ROOT / "paper_figures").glob("*.py")}
TESTED = {
    "quality_against_cost",
    "seed_spread",
    "robustness",
    "learning_speed",
    "tuning_curves",
}
FORMATS = ("pdf", "png")
EFFECT = Effect(0.1, 0.01)
TOLD = ModalityAudit(dict.fromkeys(KNOCKOUTS, EFFECT), masked=EFFECT, shapley=EFFECT)
AUDIT = Audit(
    "ab" * 32,
    "gated, hybrid, seed 0",
    "valid",
    "ndcg@20",
    50,
    "users",
    "dropout",
    False,
    EFFECT,
    EFFECT,
    {"text": TOLD, "image": TOLD},
    {"text": {"image": 0.5}, "image": {"text": 0.5}},
    {},
)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> tuple[Path, Path]:
    """The folder of a report, and the runs behind it."""
    folder = tmp_path_factory.mktemp("report")
    make_row = row_maker(folder)
    rows = [
        make_row("popularity", "control", mean=0.05),
        make_row("a rather long name", level="feature"),
        make_row("gated", level="model", mean=0.22, seconds=30.0),
    ]
    trial = Trial(0, "", {}, "complete", 0.2, True, 1.0, 500.0, [])
    tried = [trial, replace(trial, number=1, changes={"training.learning_rate": 0.01}, value=0.3)]
    ledger = Ledger("ab" * 32, tried, 1, "ndcg@20", 0, "tpe, median pruner")
    rows = [
        replace(row, records=[_told(record) for record in row.records], ledger=ledger)
        for row in rows
    ]
    store = stored(rows)
    for title in ("one", "two"):
        write_report(Results(title, rows, METRICS, "ndcg@20"), folder / title)
    return folder / "one", store.root


def _told(record):
    """With curves, and a history of two modalities."""
    import polars as pl

    users, metrics = pl.read_parquet(record.folder / "per_user.parquet"), record.metrics
    for point, share in {"at 0% missing": 1.0, "at 50% missing": 0.8, "missing area": 0.9}.items():
        name = f"ndcg@20 {point}"
        users = users.with_columns((pl.col("ndcg@20") * share).alias(name))
        metrics = {s: m | {name: m["ndcg@20"] * share} for s, m in metrics.items()}
    users.write_parquet(record.folder / "per_user.parquet")
    names = ("text", "image")
    history = [
        {f"{kind}.{name}": 1 / epoch for kind in ("loss", "speed") for name in names}
        for epoch in (1, 2, 3)
    ]
    features = {"name": "fake", "features": dict.fromkeys(names)}
    return replace(record, metrics=metrics, history=history, dataset=features)


def draw(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # set anew by the script
    runpy.run_path(str(SCRIPTS[script]), run_name="__main__")


@pytest.mark.parametrize("script", sorted(TESTED))
def test_a_figure_of_a_report(script, report, tmp_path, monkeypatch) -> None:
    folder, runs = report
    out = tmp_path / "figures"
    draw(monkeypatch, script, folder, "--runs", runs, "--out", out)
    assert {file.name for file in out.iterdir()} == {f"{script}.pdf", f"{script}.png"}
    assert imread(out / f"{script}.png").shape[1] == int(SINGLE_WIDTH * DPI)
    assert (out / f"{script}.pdf").read_bytes().startswith(b"%PDF")


def test_the_critical_difference_of_two_reports(report, tmp_path, monkeypatch) -> None:
    folder, runs = report
    two = folder.parent / "two"
    draw(monkeypatch, "critical_difference", folder, two, "--runs", runs, "--out", tmp_path / "f")
    assert (tmp_path / "f" / "critical_difference.pdf").is_file()


def test_shapley_bars_of_an_audits_file_alone(tmp_path, monkeypatch) -> None:
    file, out = tmp_path / "audit.json", tmp_path / "figures"
    file.write_text(json.dumps(AUDIT.to_json()))
    assert Audit.read(file) == AUDIT
    draw(monkeypatch, "shapley", file, "--out", out)
    assert {one.name for one in out.iterdir()} == {f"shapley_{'ab' * 6}.{of}" for of in FORMATS}
    assert imread(out / f"shapley_{'ab' * 6}.png").shape[1] == int(SINGLE_WIDTH * DPI)


def test_a_file_that_is_no_audit_is_told(tmp_path) -> None:
    file = tmp_path / "audit.json"
    with pytest.raises(FusionlabError, match=r"no such file; `fusionlab audit RUN --json"):
        Audit.read(file)
    file.write_text(json.dumps({**AUDIT.to_json(), "whole": 3}))
    with pytest.raises(FusionlabError, match=r"not the audit of a run \(whole: found 3, expected"):
        Audit.read(file)


def test_an_audit_without_a_knockout_is_told(tmp_path) -> None:
    file, told = tmp_path / "audit.json", AUDIT.to_json()
    del told["modalities"]["image"]["knockouts"]["shuffled"]
    file.write_text(json.dumps(told))
    with pytest.raises(FusionlabError, match=r"modalities\.image\.knockouts: found .*, expected"):
        Audit.read(file)


@pytest.mark.parametrize("script", sorted({*SCRIPTS} - {"critical_difference", "shapley"}))
def test_a_mistake_is_one_line(script, tmp_path, monkeypatch, capsys) -> None:
    with pytest.raises(FusionlabError) as caught:
        draw(monkeypatch, script, tmp_path / "nothing")
    sys.excepthook(caught.type, caught.value, caught.tb)  # as Python does at a script's end
    told = capsys.readouterr().err
    assert told.startswith(f"{script}: error: {tmp_path}")
    assert told.count("\n") == 1


def test_every_script_is_short_and_tested() -> None:
    assert SCRIPTS.keys() == TESTED | {"critical_difference", "shapley"}
    for file in SCRIPTS.values():
        assert len(file.read_text().splitlines()) < 60


def test_an_audit_of_no_modality_has_no_figure() -> None:
    with pytest.raises(FusionlabError, match="found no modality, expected at least one"):
        contribution_figure(replace(AUDIT, modalities={}))


def test_an_audit_that_cannot_be_read_is_told(tmp_path) -> None:
    with pytest.raises(FusionlabError, match=r"cannot be read \(Is a directory\)"):
        Audit.read(tmp_path)
