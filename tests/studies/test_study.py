"""Studies: rows from axes and controls, chosen variants, and recovery from a kill."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import pytest

from fusionlab.config import load_study
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.studies import executor
from fusionlab.studies.executor import execute
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan


def ignore(run):
    pass


def test_plan_has_rows_controls_and_seeds(study_file):
    planned = plan(load_study(study_file))
    labels = [row.variants[0].label for row in planned.rows]
    assert labels[:3] == ["concat", "lowrank_tensor", "popularity"]
    assert labels[3] == "best single modality (text)"
    assert [row.kind for row in planned.rows] == ["strategy"] * 2 + ["control"] * 3 + ["ceiling"]
    assert len(planned.rows[3].variants) == 3
    assert len(planned.runs) == 2 * (2 + 1 + 3 + 1 + 1)
    assert planned.main == "ndcg@5"


def test_columns_are_metrics_that_were_measured(study_file):
    study = load_study(study_file, ["experiment.evaluation={metrics: [auc, ndcg], select: auc}"])
    planned = plan(study)
    assert planned.metrics == ("ndcg@5", "auc")
    assert planned.main == "auc"


def test_labels_of_several_axes(study_file):
    study = load_study(
        study_file,
        [
            "axes.fusion=[{name: gated, gate: sigmoid}]",
            "axes.training.modality_dropout=[0, 0.5]",
        ],
    )
    labels = [row.variants[0].label for row in plan(study).rows if row.kind == "strategy"]
    assert labels == [
        "gated (gate=sigmoid), modality_dropout=0",
        "gated (gate=sigmoid), modality_dropout=0.5",
    ]


def test_a_strategy_that_names_a_modality_has_rows_without_it(study_file, tmp_path):
    film = [
        "experiment.fusion={name: film, modulated: text}",
        "axes={inputs.modalities: [[image, audio]]}",
    ]
    study = load_study(study_file, [*film, "seeds=[0]", "experiment.training.epochs=1"])
    store = RunStore(tmp_path / "runs")
    planned = plan(study)
    execute(planned.runs, store, on_run=ignore)
    variants = [variant for row in planned.rows for variant in row.variants]
    single = {f"best single modality ({m})" for m in ("text", "image", "audio")}
    assert single <= {variant.label for variant in variants}
    for variant in variants:
        assert all("ndcg@5" in store.load(run).metrics["test"] for run, _ in variant.runs)


def test_a_modality_that_the_dataset_does_not_have_cannot_be_named(study_file):
    for where in (
        "experiment.fusion={name: film, modulated: texts}",
        "axes.fusion=[{name: film, modulated: texts}]",
    ):
        with pytest.raises(ConfigError, match=r"fusion\.modulated: found 'texts', .*mean 'text'\?"):
            plan(load_study(study_file, [where]))


def test_axis_errors_name_the_place(study_file):
    with pytest.raises(ConfigError, match=r"axes\.fusion\[1\]\.fusion\.name: found 'sumn'"):
        plan(load_study(study_file, ["axes.fusion=[sum, sumn]"]))


def test_ranking_controls_are_refused_for_classes(study_file):
    study = load_study(
        study_file,
        ["experiment.task=classification", "experiment.dataset.task=classification"],
    )
    with pytest.raises(ConfigError, match="found 'popularity', a recommender"):
        plan(study)


def test_collects_the_variant_that_is_best_on_validation(study_file, tmp_path):
    store, planned = RunStore(tmp_path / "runs"), plan(load_study(study_file))
    execute(planned.runs, store, on_run=ignore)
    single = planned.rows[3]
    means = {
        variant.label: sum(store.load(run).metrics["valid"]["ndcg@5"] for run, _ in variant.runs)
        for variant in single.variants
    }
    assert planned.collect(store)[3].label == max(means, key=means.__getitem__)


BROKEN = """
from fusionlab.fusion.contract import FUSIONS, Fusion, Level
@FUSIONS.register("{name}")
class Boom(Fusion):
    level, additive = Level.FEATURE, True
    def forward(self, items):
        raise ValueError("matrix of the wrong shape")
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_broken_strategy_is_named_and_the_others_finish(study_file, tmp_path, workers):
    plugin = tmp_path / "boom.py"
    name = f"boom_{workers}"
    plugin.write_text(BROKEN.replace("{name}", name))
    study = load_study(study_file, [f"axes.fusion=[concat, {name}]"], [str(plugin)])
    store, planned = RunStore(tmp_path / "runs"), plan(study)
    with pytest.raises(FusionlabError) as error:
        execute(planned.runs, store, workers=workers, on_run=ignore)
    assert "2 of 16 runs failed" in str(error.value)
    assert f"content, {name}, seed 1: ValueError: matrix of the wrong shape" in str(error.value)
    assert "boom.py, line 7" in str(error.value)
    assert len(store.runs()) == 14
    assert not any((store.root / ".shared").glob("*"))  # what workers shared is gone


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds=[0, 0]", "seeds: found [0, 0], expected each seed once"),
        ("axes.seed=[1, 2]", "axes.seed: a row is a mean over seeds"),
        ("axes.fusion=[sum, sum]", "axes: found two rows 'sum'"),
        ("controls=[popularity, popularity]", "controls: found two rows 'popularity'"),
        ("axes.fusion=[{name: transformer, heads: 3}]", "fusion.heads: found 3"),
        ("axes.dataset.users=[60, 70]", "judged on different users"),
        ("report.main=recal@5", "report.main: found 'recal@5'"),
        ("report.main=gini@5", "report.main: found 'gini@5'"),
        ("report.metrics=[recal@5]", "report.metrics.0: found 'recal@5'"),
        ("report.reference=popularty", "did you mean 'popularity'"),
        ("experiment.inputs.modalities=[txt]", "did you mean 'text'"),
        ("experiment.evaluation.select=gini@5", "evaluation.select: found 'gini@5'"),
        ("experiment.evaluation.metrics=[ndgc]", "did you mean 'ndcg'"),
    ],
)
def test_what_would_fail_after_hours_fails_before_anything_runs(study_file, override, message):
    with pytest.raises(FusionlabError) as error:
        plan(load_study(study_file, [override]))
    assert message in str(error.value)


def test_an_axis_may_change_a_section_or_what_models_see(study_file):
    overrides = ["axes.evaluation=[{cutoffs: [5]}]", "axes.dataset.noise=[0.1, 0.2]"]
    labels = [row.variants[0].label for row in plan(load_study(study_file, overrides)).rows]
    assert "concat, evaluation=(cutoffs=[5]), noise=0.1" in labels


def command(file, tmp_path, *extra):
    return [
        *(sys.executable, "-m", "fusionlab", "study", str(file)),
        *("--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "report"), *extra),
    ]


@pytest.mark.slow
def test_killed_studies_end_like_an_uninterrupted_one(study_file, tmp_path):
    whole = tmp_path / "whole"
    subprocess.run(command(study_file, whole), check=True, capture_output=True)
    killed, runs = tmp_path / "killed", tmp_path / "killed" / "runs"
    for done in (2, 7):
        process = subprocess.Popen(
            command(study_file, killed, "--workers", "2"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(RunStore(runs).runs()) < done and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = {run: (runs / run / "record.json").stat().st_mtime_ns for run in RunStore(runs).runs()}
    assert len(before) >= 7
    # Two processes at once finish the rest between them.
    both = [subprocess.Popen(command(study_file, killed), stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    for name in ("quality.md", "quality.csv", "quality.tex"):
        assert (killed / "report" / name).read_bytes() == (whole / "report" / name).read_bytes()
    after = {run: (runs / run / "record.json").stat().st_mtime_ns for run in RunStore(runs).runs()}
    assert after.keys() == {*RunStore(whole / "runs").runs()}
    assert before.items() <= after.items()
    assert list((runs / ".partial").iterdir()) == []
    assert list((runs / ".shared").iterdir()) == []


def test_a_killed_worker_is_told_with_the_way_on(study_file, tmp_path, monkeypatch):
    @contextmanager
    def killed(*_):
        lost = Future()
        lost.set_exception(BrokenProcessPool())
        yield lambda job, patient: lost

    monkeypatch.setattr(executor, "_pool", killed)
    with pytest.raises(FusionlabError, match=r"a worker was killed, .* fewer --workers if"):
        execute(plan(load_study(study_file)).runs, RunStore(tmp_path), workers=2, on_run=ignore)
