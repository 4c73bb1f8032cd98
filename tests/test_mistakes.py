"""What a user types wrong in the first hour: one error each, with place, finding and way out."""

import pytest
from click.testing import CliRunner

from fusionlab.cli import main

EXPERIMENT = "dataset: {name: synthetic, users: 20, items: 16, clicks: 6}\n"
STUDY = f"title: t\nexperiment: {{{EXPERIMENT.strip()}}}\n"

# (what is typed, what stands in x.yaml, place, what was found, what is expected)
MISTAKES = {
    "no such file": ("run nowhere.yaml", "", "nowhere.yaml", "no such file", ""),
    "a folder for a file": ("run .", "", ".", "no such file", ""),
    "a study to run": ("run x.yaml", STUDY, "x.yaml", "found a study", "use `fusionlab study`"),
    "a run as study": (
        "study x.yaml",
        EXPERIMENT,
        "x.yaml",
        "an experiment",
        "use `fusionlab run`",
    ),
    "no dataset": ("run x.yaml", "dim: 4", "x.yaml: dataset", "", "required"),
    "an unknown key": (
        "run x.yaml",
        EXPERIMENT + "trainin: {epochs: 3}",
        "x.yaml: trainin",
        "unknown key: found 'trainin'",
        "did you mean 'training'?",
    ),
    "an unknown part": (
        "run x.yaml fusion=gatd",
        EXPERIMENT,
        "command line: fusion.name",
        "found 'gatd'",
        "did you mean 'gated'?",
    ),
    "an option of another part": (
        "run x.yaml fusion.name=concat fusion.gate=softmax",
        EXPERIMENT,
        "command line: fusion.gate",
        "unknown key: found 'gate'",
        "expected one of: hidden",
    ),
    "a number out of range": (
        "run x.yaml training.epochs=-1",
        EXPERIMENT,
        "command line: training.epochs",
        "found -1",
        "greater than",
    ),
    "a word for a number": (
        "run x.yaml training.epochs=many",
        EXPERIMENT,
        "command line: training.epochs",
        "found 'many'",
        "valid integer",
    ),
    "no equals sign": (
        "run x.yaml epochs",
        EXPERIMENT,
        "command line",
        "'epochs'",
        "key.sub=value",
    ),
    "broken YAML": ("run x.yaml", "dataset: [", "x.yaml", "not valid YAML", "line"),
    "a list for a mapping": ("run x.yaml", "- 1", "x.yaml", "found list", "a mapping of keys"),
    "no GPU": (
        "run x.yaml runtime.device=cuda",
        EXPERIMENT,
        "runtime.device",
        "found 'cuda'",
        "expected 'cpu'",
    ),
    "no data": (
        "run x.yaml",
        "dataset: {name: folder, path: shop}",
        "dataset.path",
        "found nothing at shop",
        "expected a folder",
    ),
    "a metric that is not measured": (
        "run x.yaml evaluation.select=ndcg@7 training.epochs=1",
        EXPERIMENT,
        "evaluation.select",
        "found 'ndcg@7'",
        "ndcg@20",
    ),
    "a modality that is not there": (
        "run x.yaml inputs.modalities=[text,smell]",
        EXPERIMENT,
        "modalities",
        "found 'smell'",
        "expected one of: audio, image, text",
    ),
    "more items of a classifier": (
        "run x.yaml task=classification dataset.task=classification more_items=more.jsonl",
        EXPERIMENT,
        "more_items",
        "found dataset 'synthetic', which has classes",
        "expected one with clicks",
    ),
    "no such plug-in": ("list --plugin mine.py", "", "--plugin mine.py", "no such file", ""),
    "a module that is none": ("list --plugin mine!", "", "--plugin mine!", "no such module", ".py"),
    "a family misspelt": ("list fusions", "", "", "found 'fusions'", "did you mean 'fusion'?"),
    "a part misspelt": ("show fusion gatd", "", "fusion", "found 'gatd'", "did you mean 'gated'?"),
    "no such run": (
        "audit abc",
        "",
        "run 'abc'",
        "found none that is finished under runs",
        "exactly one",
    ),
    "nobody to recommend to": ("recommend abc", "", "", "--user", "--liked"),
    "no run to forget in": ("forget abc ann", "", "run 'abc'", "found none", "exactly one"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_told_with_place_finding_and_way_out(mistake, tmp_path, monkeypatch):
    typed, content, *told = mistake
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(content)
    (tmp_path / "more.jsonl").write_text('{"item": "new"}')
    result = CliRunner().invoke(main, typed.split())
    said = " ".join(result.output.split())
    assert result.exit_code in (1, 2), said
    assert isinstance(result.exception, SystemExit)
    assert said.count("Error: ") == 1
    for part in told:
        assert part in said
    assert not [*(tmp_path / "runs").glob("*/record.json")]


def test_the_same_without_the_mistake_is_no_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    result = CliRunner().invoke(main, ["run", "x.yaml", "training.epochs=1", "dim=4"])
    assert result.exit_code == 0, result.output
    assert [*(tmp_path / "runs").glob("*/record.json")]
