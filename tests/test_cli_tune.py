"""`fusionlab tune` and a tuned study, as a user meets them."""

import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.config import load_experiment

EXPERIMENT = """
dataset: {name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0}
dim: 8
training: {epochs: 2, batch_size: 128, signals_every: 0}
evaluation: {cutoffs: [5]}
"""


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT)
    return file


def test_tune_prints_the_best_options_and_writes_them(experiment, tmp_path):
    out = tmp_path / "found" / "tuned.yaml"
    asked = (
        *("tune", experiment, "fusion=lowrank_tensor", "--trials", 4, "--sampler", "random"),
        *("--space", "fusion.rank=[1, 2]", "--space", "training.weight_decay=null"),
        *("--out", out, "--runs", tmp_path / "runs"),
    )
    result = run(*asked)
    assert result.exit_code == 0, result.output
    assert "# 4 trials (4 complete; random, median pruner)" in result.output
    assert "# ndcg@5 on validation: ." in result.output
    written = yaml.safe_load(out.read_text())
    assert written["base"] == "../experiment.yaml"
    found = load_experiment(out)
    assert found.fusion.name == "lowrank_tensor"
    assert found.training.weight_decay == 0
    trials = list((tmp_path / "runs").glob("searches/*/*/trial.json"))
    tried = [yaml.safe_load(file.read_text())["changes"] for file in trials]
    assert {tuple(sorted(one)) for one in tried} == {
        (),
        ("fusion.rank", "training.learning_rate"),
    }
    before = {file: file.stat().st_mtime_ns for file in trials}
    assert run(*asked).exit_code == 0
    assert {file: file.stat().st_mtime_ns for file in trials} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a budget: trials, seconds or both"),
        (("--trials", 2, "--space", "fusion.rnk=[1, 2]"), "tune.spaces.fusion.rnk: found"),
        (("--trials", 2, "--storage", "words"), "tune.storage: found 'words'"),
    ],
)
def test_mistakes_are_one_error(experiment, tmp_path, arguments, message):
    result = run("tune", experiment, *arguments, "--runs", tmp_path / "runs")
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_show_tells_what_is_tuned():
    assert (
        "Tuned where a study is (tune): rank 1 to 16 (log)."
        in run("show", "fusion", "lowrank_tensor").output
    )
    assert "(tune)" not in run("show", "fusion", "sum").output


def test_help_does_without_optuna():
    code = (
        "import sys; from click.testing import CliRunner; from fusionlab.cli import main; "
        "CliRunner().invoke(main, ['study', '--help']); "
        "import fusionlab.studies.study, fusionlab.studies.trials.tune; "
        "import fusionlab.reporting.report; "
        "print('optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
