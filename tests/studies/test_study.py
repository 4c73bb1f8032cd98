"""Studies: rows from axes and controls, chosen variants, and recovery from a kill."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fusionlab.config import load_study
from fusionlab.errors import ConfigError, FusionlabError
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


def test_failures_are_listed_and_the_others_finish(study_file, tmp_path):
    study = load_study(study_file, ["axes.fusion=[concat, {name: transformer, heads: 3}]"])
    store, planned = RunStore(tmp_path / "runs"), plan(study)
    with pytest.raises(FusionlabError, match=r"2 of 16 runs failed:\n.*expected a divisor"):
        execute(planned.runs, store, on_run=ignore)
    assert len(store.runs()) == 14


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
