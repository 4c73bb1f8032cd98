"""The scripts of experiments/ are short, say what they do, and an ablation runs from end to end."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))


@pytest.mark.parametrize("file", SCRIPTS, ids=[file.stem for file in SCRIPTS])
def test_a_script_reads_like_a_method_section(file):
    text = file.read_text()
    said = ast.get_docstring(ast.parse(text))
    assert said
    assert f"python experiments/{file.name}" in said
    assert len(text.splitlines()) < 60


SMALL = [
    "experiment.dataset.users=60",
    "experiment.dataset.items=40",
    "experiment.dataset.clicks=12",
    "experiment.training.epochs=1",
    "experiment.evaluation.cutoffs=[5]",
    "experiment.dim=8",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "chosen", "reports"),
    [
        (
            "ablate_components",
            [
                *("axes.fusion=[gated]", "axes.recommender=[hybrid]", "axes.balancer=[none]"),
                *("axes.dim=[8, 16]", "axes.inputs.noise.test=[0]"),
            ],
            ["components/one_at_a_time"],
        ),
        ("ablate_missing", ["axes.fusion=[sum]", "report.main=ndcg@5"], ["missing/none"]),
    ],
)
def test_an_ablation_runs_alone(script, chosen, reports, tmp_path):
    words = [ROOT / "experiments" / f"{script}.py", "--seeds", "1", "--workers", "1"]
    words += [*SMALL, "controls=[popularity]", *chosen]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for report in reports:
        assert (tmp_path / "reports" / report / "quality.tex").is_file()
        assert (tmp_path / "reports" / report / "study.json").is_file()
