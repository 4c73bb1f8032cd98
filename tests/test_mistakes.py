"""What a user types wrong in the first hour: one error each, with place, finding and way out."""

import errno

import pytest
from click.testing import CliRunner

from fusionlab import describe
from fusionlab.cli import main

EXPERIMENT = "dataset: {name: synthetic, users: 20, items: 16, clicks: 6}\n"
STUDY = f"title: t\nexperiment: {{{EXPERIMENT.strip()}}}\n"

# (what is typed, what stands in x.yaml, place, what was found, what is expected)
MISTAKES = {
    "no such file": ("run nowhere.yaml", "", "nowhere.yaml", "no such file", ""),
    "a folder for a file": ("run .", "", ".", "found a folder", "expected a file of YAML"),
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
        "a whole number",
    ),
    "a fraction for a whole number": (
        "run x.yaml training.epochs=1.5",
        EXPERIMENT,
        "command line: training.epochs",
        "found 1.5",
        "expected a whole number",
    ),
    "a switch for a number": (
        "run x.yaml dim=true",
        EXPERIMENT,
        "command line: dim",
        "found True",
        "expected a whole number",
    ),
    "a switch for one of several numbers": (
        "run x.yaml evaluation.cutoffs=[5,true]",
        EXPERIMENT,
        "command line: evaluation.cutoffs.1",
        "found True",
        "expected a whole number",
    ),
    "a switch for an option that is a number": (
        "run x.yaml recommender.name=hybrid recommender.l2=true",
        EXPERIMENT,
        "command line: recommender.l2",
        "found True",
        "expected a number",
    ),
    "a word for a switch": (
        "run x.yaml runtime.compile=maybe",
        EXPERIMENT,
        "command line: runtime.compile",
        "found 'maybe'",
        "expected true or false",
    ),
    "a number for a list": (
        "run x.yaml evaluation.cutoffs=5",
        EXPERIMENT,
        "command line: evaluation.cutoffs",
        "found 5",
        "expected a list: [5]",
    ),
    "a number for a section": (
        "run x.yaml training=5",
        EXPERIMENT,
        "command line: training",
        "found 5",
        "expected a mapping of keys",
    ),
    "neither a whole number nor a word": (
        "run x.yaml training.micro_batch=none",
        EXPERIMENT,
        "command line: training.micro_batch",
        "found 'none'",
        "expected a whole number; or one of: auto",
    ),
    "no such device": (
        "run x.yaml runtime.device=gpu",
        EXPERIMENT,
        "command line: runtime.device",
        "found 'gpu'",
        "expected cpu, cuda or cuda:N",
    ),
    "a key without its section": (
        "run x.yaml epochs=3",
        EXPERIMENT,
        "command line: epochs",
        "found 'epochs'",
        "did you mean 'training.epochs'?",
    ),
    "a name of nothing": (
        "run x.yaml name=gated name=concat",
        EXPERIMENT,
        "command line: name",
        "unknown key: found 'name'",
        "did you mean 'fusion.name'?",
    ),
    "a key of nothing": (
        "run x.yaml .=3",
        EXPERIMENT,
        "command line",
        "found '.=3'",
        "expected key.sub=value",
    ),
    "a key of the experiment in a study": (
        "study x.yaml dataset.users=9",
        STUDY,
        "command line: dataset",
        "found 'dataset'",
        "did you mean 'experiment.dataset'?",
    ),
    "a search without a budget": (
        "tune x.yaml",
        EXPERIMENT,
        "command line: tune",
        "",
        "expected a budget: trials, seconds or both",
    ),
    "a number for a space": (
        "tune x.yaml --trials 2 --space dim=5",
        EXPERIMENT,
        "command line: tune.spaces.dim",
        "found 5",
        "expected {low: ...",
    ),
    "nothing to encode": (
        "encode x.yaml",
        EXPERIMENT,
        "x.yaml: encoders",
        "found none that is not trained",
        "expected at least one",
    ),
    "a seed that is another's twin": (
        "run x.yaml seed=4294967296",
        EXPERIMENT,
        "command line: seed",
        "found 4294967296",
        "less than 4294967296",
    ),
    "a cut-off twice": (
        "run x.yaml evaluation.cutoffs=[5,5]",
        EXPERIMENT,
        "command line: evaluation.cutoffs",
        "found [5, 5]",
        "each cut-off once",
    ),
    "a width that no memory holds": (
        "run x.yaml dim=100000000000",
        EXPERIMENT,
        "",
        "the memory does not hold the model",
        "lower dim (now 100000000000)",
    ),
    "an axis of nothing": (
        "study x.yaml axes.fusion=[]",
        STUDY,
        "command line: axes.fusion",
        "found []",
        "a list of 1 or more",
    ),
    "rows judged by other lengths": (
        "study x.yaml",
        STUDY + "axes: {evaluation.cutoffs: [[5], [10]]}\n",
        "axes",
        "found the row 'cutoffs=[5]', which does not measure",
        "rows that are judged alike",
    ),
    "a file that is no configuration": (
        "run x.yaml",
        f"{'long ' * 200}: 1",
        "x.yaml: long long",
        "unknown key",
        " ..., expected one of",
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
    "no such plug-in": ("list --plugin mine.py", "", "plug-in mine.py", "no such file", ""),
    "a module that is none": ("list --plugin mine!", "", "plug-in mine!", "no such module", ".py"),
    "a family misspelt": ("list fusions", "", "", "found 'fusions'", "did you mean 'fusion'?"),
    "a part misspelt": ("show fusion gatd", "", "fusion", "found 'gatd'", "did you mean 'gated'?"),
    "no such run": (
        "audit abc",
        "",
        "run 'abc'",
        "found none that is finished under runs",
        "exactly one",
    ),
    "a situation twice": (
        "recommend abc --user ann --context hour=1 --context hour=2",
        "",
        "--context",
        "found a name twice",
        "expected each once",
    ),
    "nobody to recommend to": (
        "recommend abc",
        "",
        "--user",
        "found nobody",
        "expected either --user or --liked",
    ),
    "a user and a stranger": (
        "recommend abc --user ann --liked mug",
        "",
        "--user",
        "found both",
        "expected either --user or --liked",
    ),
    "an option of the audit of all users": (
        "audit abc --user ann --retrain",
        "",
        "--retrain",
        "tells of all users",
        "expected none beside --user",
    ),
    "tokens of nobody's list": ("audit abc --tokens", "", "--tokens", "", "expected --user"),
    "no situation": (
        "recommend abc --user ann --context rain",
        "",
        "--context",
        "found 'rain'",
        "expected NAME=VALUE",
    ),
    "lists of no index": (
        "recommend abc --user ann --probed 3",
        "",
        "--probed",
        "",
        "needs --index faiss",
    ),
    "no JSON": (
        "feedback abc add --user ann --item mug --kind like --context {",
        "",
        "--context",
        "not JSON (",
        "line 1",
    ),
    "options of another update": (
        "update abc --retrain --epochs 2",
        "",
        "--epochs",
        "tunes",
        "expected none beside --retrain",
    ),
    "users to train without": (
        "update abc --without-users gone.txt",
        "",
        "--without-users",
        "",
        "expected --retrain beside it",
    ),
    "what is measured beside what is compared": (
        "bench sum --compare old.json new.json",
        "",
        "--compare",
        "measures nothing",
        "leave out strategies and options",
    ),
    "workers beside a cluster": (
        "study x.yaml --workers 2 --ray local",
        STUDY,
        "--workers",
        "is for this machine",
        "leave it out beside --ray",
    ),
    "a share of no cluster's GPU": (
        "study x.yaml --gpus-per-run 0.5",
        STUDY,
        "--gpus-per-run",
        "",
        "needs --ray ADDRESS",
    ),
    "a table of nothing": ("table", "", "SOURCE", "", "a study's file, or the folder of a report"),
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


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "runs/a: No space left on"),
        (OSError(errno.EACCES, "Permission denied"), "a file: Permission denied; free space or"),
        (KeyboardInterrupt(), "interrupted; the same command goes on from here"),
    ],
)
def test_what_stops_any_command_is_told_with_the_way_on(fault, told, monkeypatch):
    def stopped(*_):
        raise fault

    monkeypatch.setattr(describe, "parts", stopped)
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 1
    assert f"Error: {told}" in result.output
