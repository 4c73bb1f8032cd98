"""From a study to a paper on the command line: run, table, why, check, power, export, compare."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.config import load_study
from fusionlab.studies.study import plan

STUDY = """
title: {title}
design: one_at_a_time
experiment:
  dataset: {{name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0, seed: {seed}}}
  dim: 8
  training: {{epochs: 2, batch_size: 128, learning_rate: 0.01}}
  evaluation: {{cutoffs: [5]}}
drop: {{without audio: {{inputs.modalities: [text, image]}}}}
seeds: [0, 1]
controls: [popularity]
"""


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Two small studies, run, and their files, reports and runs."""
    folder = tmp_path_factory.mktemp("studied")
    for k in (1, 2):
        file = folder / f"s{k}.yaml"
        file.write_text(STUDY.format(title=f"study {k}", seed=k))
        code, said = run("study", file, "--runs", folder / "runs", "--out", folder / f"r{k}")
        assert code == 0, said
    return folder


def test_tables_of_a_study_of_a_report_and_their_cells(studied):
    at = ("--runs", studied / "runs")
    for source in (studied / "s1.yaml", studied / "r1"):
        code, said = run("table", source, "--name", "quality", "--format", "csv", *at)
        assert (code, said) == (0, (studied / "r1" / "quality.csv").read_text())
    code, said = run("table", studied / "r1", "--why", "without audio", "vs reference", *at)
    assert code == 0
    assert "without audio, p (Holm) = " in said
    assert said.count("record.json") == 4  # two runs of the row, two of the base
    code, said = run("table", "--check", studied / "r1" / "quality.tex", *at)
    assert code == 0
    assert "the same bytes as the table quality" in said
    changed = studied / "changed.md"
    changed.write_text((studied / "r1" / "quality.md").read_text().replace("base", "Base"))
    code, said = run("table", studied / "r1", "--check", changed, *at)
    assert code == 1
    assert "is not what the run records say of quality" in said


def test_an_export_repeats_the_runs_and_the_tables(studied, tmp_path):
    code, said = run(
        "export", studied / "s1.yaml", "--out", tmp_path / "e", "--runs", studied / "runs"
    )
    assert code == 0, said
    copy = shutil.copytree(tmp_path / "e", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "e")
    for name in ("quality.md", "quality.csv", "quality.tex", "quality.html", "cost.tex"):
        assert (copy / name).read_bytes() == (studied / "r1" / name).read_bytes()
        code, said = run("table", "--check", copy / name, "--runs", tmp_path / "nowhere")
        assert code == 0, said
    # The configuration in it asks for the same runs.
    planned = plan(load_study(copy / "study.yaml"))
    assert {*planned.runs} == {file.parent.name for file in copy.glob("runs/*/record.json")}


def test_power_and_ranks(studied, tmp_path):
    at = ("--runs", studied / "runs")
    code, said = run("power", studied / "r1", "--difference", "0.01", *at)
    assert code == 0, said
    assert "from base with 80% power" in " ".join(said.split())
    both = [studied / "r1", studied / "s2.yaml"]
    code, said = run("compare-studies", *both, "--out", tmp_path / "c", *at)
    assert code == 0, said
    assert {file.name for file in (tmp_path / "c").iterdir()} == {
        *(f"ranks.{suffix}" for suffix in ("md", "csv", "tex", "html")),
        *(f"critical_difference.{suffix}" for suffix in ("pdf", "png")),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table",), "expected SOURCE"),
        (("table", "r1", "--format", "md", "--check", "x.md"), "expected one of them"),
        (("table", "r1", "--name", "qualty"), "did you mean 'quality'"),
        (("table", "r1", "--why", "bas", "ndcg@5"), "did you mean 'base'"),
        (("table", "r1", "seeds=[0]"), "found overrides beside it"),
        (("table", "s1.yaml", "seeds=[0, 5]"), "of its 6 runs are not under"),
        (("power", "r1", "--difference", "0"), "difference: found 0.0"),
        (("compare-studies", "r1"), "found 1 with 3 rows"),
        (("export", "r1", "--out", "r2"), "r2: is there already"),
    ],
)
def test_mistakes_are_named(studied, monkeypatch, words, message):
    monkeypatch.chdir(studied)
    code, said = run(*words)
    assert code != 0
    assert message in " ".join(said.split()), said


def test_a_page_of_html_stands_alone(studied):
    page = (studied / "r1" / "quality.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "http" not in page  # nothing is loaded from elsewhere
    assert Path(studied / "r1" / "study.json").is_file()
