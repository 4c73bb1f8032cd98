"""The command line, as a user meets it."""

import gc
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fusionlab.cli import GC_THRESHOLDS, main

ROOT = Path(__file__).parents[1]
EXPERIMENT = """
dataset: {name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0}
dim: 8
training: {epochs: 2, batch_size: 128}
evaluation: {cutoffs: [5]}
"""


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT)
    return file


@pytest.fixture
def plugin(tmp_path):
    """The strategy of the README, word by word."""
    readme = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python file=sum_and_product\.py\n(.*?)```", readme, re.DOTALL)
    file = tmp_path / "sum_and_product.py"
    file.write_text(code)
    assert len(code.splitlines()) <= 20
    return file


def test_run_prints_metrics_and_keeps_the_record(experiment, tmp_path):
    result = run("run", experiment, "fusion=gated", "--runs", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    assert "ndcg@5" in result.output
    (record,) = (tmp_path / "runs").glob("*/record.json")
    assert json.loads(record.read_text())["config"]["fusion"]["name"] == "gated"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("show", "fusion", "gatd"), "did you mean 'gated'?"),
        (("list", "fusions"), "did you mean 'fusion'?"),
        (("check", "concta"), "did you mean 'concat'?"),
        (("check", "--plugin", "nowhere.py"), "plug-in nowhere.py: no such file"),
    ],
)
def test_mistakes_are_one_error_without_a_traceback(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_list_and_show():
    assert "lowrank_tensor" in run("list").output
    assert "decision" in run("list", "fusion").output
    shown = run("show", "fusion", "lowrank_tensor").output
    for part in ("rank", "Complexity:", "Liu et al. 2018", "prod_m"):
        assert part in shown


@pytest.mark.parametrize("kind", ["experiment", "study"])
def test_schema_is_json_with_every_strategy(kind):
    schema = json.loads(run("schema", kind).output)
    assert schema["type"] == "object"
    assert "lowrank_tensor" in json.dumps(schema)


def test_inspect_prints_counts(experiment):
    output = run("data", "inspect", experiment).output
    assert "items" in output
    assert "audio" in output


@pytest.mark.slow
def test_a_strategy_from_a_file_is_checked_and_compared(plugin, tmp_path):
    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "fusionlab", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    checked = command("check", "--plugin", plugin)
    assert checked.count("holds") == len(checked.strip().splitlines()) - 1
    study = tmp_path / "study.yaml"
    lines = "".join(f"  {line}\n" for line in EXPERIMENT.strip().splitlines())
    study.write_text(
        f"title: mine\nexperiment:\n{lines}"
        "axes: {fusion: [concat, {name: sum_and_product, scale: 0.1}]}\nseeds: [0, 1]\n"
        "controls: [popularity]\n"
    )
    command("study", study, "--plugin", plugin, "--workers", 2)
    table = (tmp_path / "reports" / "study" / "quality.md").read_text()
    assert "sum\\_and\\_product (scale=0.1)" in table


@pytest.mark.slow
def test_wide_tables_are_printed_whole_in_a_narrow_terminal(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    study = tmp_path / "study.yaml"
    study.write_text(
        "title: wide\nexperiment: {base: experiment.yaml}\nseeds: [0, 1]\n"
        "axes: {fusion: [mixture_of_experts, variational_experts]}\n"
        "controls: [popularity, achievable]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "fusionlab", "study", str(study)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for header in ("gain", "vs control", "peak MB", "evaluation s"):
        assert header in done.stdout


def test_a_folder_that_cannot_be_made_is_named(experiment, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("run", experiment, "--runs", tmp_path / "file" / "runs")
    assert result.exit_code == 1
    assert "cannot be made" in result.output


def test_a_plugin_with_a_syntax_error_names_the_line(tmp_path):
    plugin = tmp_path / "wrong.py"
    plugin.write_text("x = 1\ny = (\n")
    result = run("list", "--plugin", plugin)
    assert "wrong.py, line 2" in " ".join(result.output.split())


def test_a_broken_strategy_fails_the_check(tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "import torch\n"
        "from fusionlab.fusion.contract import FUSIONS, Fusion, Level, one_view\n"
        "@FUSIONS.register('broken')\n"
        "class Broken(Fusion):\n"
        "    '''Means of raw features.'''\n"
        "    level = Level.FEATURE\n    additive = True\n    trainable = False\n"
        "    def forward(self, items):\n"
        "        x = sum(v.mean((1, 2)) for v in items.values.values())\n"
        "        on = torch.stack([items.present(n) for n in items.values], 1)\n"
        "        return one_view(x[:, None].expand(-1, self.dim), on)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "fusionlab", "check", "--plugin", str(plugin)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "nothing_behind_the_mask" in done.stdout
    assert "AssertionError" in done.stdout


def test_the_command_line_looks_for_garbage_seldom():
    before = gc.get_threshold()
    try:
        CliRunner().invoke(main, ["list", "metric"])
        assert gc.get_threshold() == GC_THRESHOLDS
    finally:
        gc.set_threshold(*before)
