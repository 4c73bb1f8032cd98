"""A run and a study that judge what training knew and what it did not apart."""

from dataclasses import replace

import numpy as np
import pytest

from fusionlab.config import experiment_from, load_study
from fusionlab.errors import ConfigError
from fusionlab.reporting.scores import read_scores
from fusionlab.studies.checks import check
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.executor import execute
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan
from fusionlab.terminal import run_card

COLD = {
    "dataset": {
        "name": "synthetic",
        "users": 60,
        "items": 50,
        "clicks": 10,
        "split": {"name": "cold_items", "valid": 0.2, "test": 0.2, "warm": 0.2},
    },
    "training": {"epochs": 1},
    "evaluation": {"cutoffs": [5], "cold": True},
}


def test_figures_of_the_record_are_means_over_the_users_of_the_file(tmp_path):
    record = run_experiment(experiment_from(COLD), RunStore(tmp_path))
    plain = {**COLD, "evaluation": {"cutoffs": [5]}}
    before = run_experiment(experiment_from(plain), RunStore(tmp_path))
    train = load_dataset(experiment_from(COLD)).interactions.train
    assert (train.popularity == 0).any()
    for split in ("valid", "test"):
        found = record.metrics[split]
        assert {name: found[name] for name in before.metrics[split]} == before.metrics[split]
        users = record.per_user().filter(split=split)
        more = set(found) - set(before.metrics[split])
        assert {name.split(" ", 1)[1] for name in more} == {"on cold items", "on warm items"}
        for name in more:
            assert users[name].null_count() < len(users)
            assert found[name] == pytest.approx(users[name].mean(), abs=1e-15)
        assert users["recall@5 on cold items"].null_count()
        assert users["recall@5"].null_count() == 0


def test_a_split_without_the_group_leaves_the_cell_of_the_card_empty(tmp_path):
    record = run_experiment(experiment_from(COLD), RunStore(tmp_path))
    test = {k: v for k, v in record.metrics["test"].items() if "items" not in k}
    card = run_card(replace(record, metrics={"valid": record.metrics["valid"], "test": test}))
    cells = dict(zip(card.columns[0].cells, card.columns[2].cells, strict=True))
    assert cells["recall@5"] == f"{test['recall@5']:.4f}"
    assert cells["recall@5 on cold items"] == ""


def test_popularity_finds_nothing_cold_and_everything_it_finds_is_warm(tmp_path):
    found = run_experiment(
        experiment_from({**COLD, "recommender": "popularity"}), RunStore(tmp_path)
    )
    test = found.metrics["test"]
    assert test["recall@5 on cold items"] == 0
    assert test["recall@5 on warm items"] > test["recall@5"] > 0


def test_cold_users_are_judged_by_the_lists_that_all_cold_users_get(tmp_path):
    split = {"name": "cold_users", "valid": 0.2, "test": 0.2, "warm": 0.1}
    changed = {**COLD, "dataset": {**COLD["dataset"], "split": split}}
    store = RunStore(tmp_path)
    found = run_experiment(experiment_from({**changed, "recommender": "popularity"}), store)
    test = found.metrics["test"]
    names = {"recall@5 of cold users", "recall@5 of warm users"}
    assert {name for name in test if name.startswith("recall@5 ")} == names
    users = found.per_user().filter(split="test")
    assert users["recall@5 of cold users"].is_null().sum() == (
        users["recall@5 of warm users"].is_not_null().sum()
    )


@pytest.mark.parametrize("recommender", ["ease", "content_knn"])
def test_cold_users_whose_scores_tie_are_worth_what_random_is_worth(recommender, tmp_path):
    split = {"name": "cold_users", "valid": 0.1, "test": 0.4}
    dataset = {**COLD["dataset"], "users": 600, "split": split}
    changed = {**COLD, "dataset": dataset, "recommender": recommender}
    store = RunStore(tmp_path)
    found = run_experiment(experiment_from(changed), store)
    floor = run_experiment(experiment_from({**changed, "recommender": "random"}), store)
    ours, theirs = (one.per_user().filter(split="test")["recall@5"] for one in (found, floor))
    apart = (ours.var() / len(ours) + theirs.var() / len(theirs)) ** 0.5
    assert abs(ours.mean() - theirs.mean()) < 3 * apart
    assert found.metrics["test"]["coverage@5"] == 1  # not one list for everybody
    assert [one for one in found.warnings if "score" in one] == [
        "60 of 60 users (valid), 240 of 240 users (test): every item has the same score "
        "(lists in random order)"
    ]
    assert not floor.warnings


def test_users_whom_training_knows_are_not_warned_of(tmp_path):
    split = {"name": "cold_users", "valid": 0.2, "test": 0.2, "warm": 0.1}
    changed = {**COLD, "dataset": {**COLD["dataset"], "split": split}, "recommender": "item_knn"}
    found = run_experiment(experiment_from(changed), RunStore(tmp_path))
    (warning,) = found.warnings
    cold = found.per_user()["recall@5 of cold users"].is_not_null()
    for split in ("valid", "test"):
        judged = cold.filter(found.per_user()["split"] == split)
        assert f"{judged.sum()} of {len(judged)} users ({split})" in warning
        assert 0 < judged.sum() < len(judged)


def ignore(*_):
    """No progress is shown."""


def study_of(study_file, *changes):
    cold = ["experiment.evaluation.cold=true", "experiment.dataset.split.name=cold_items"]
    return load_study(study_file, [*cold, *changes])


def test_a_table_has_them_as_columns_and_tests_on_them(study_file, tmp_path):
    metrics = ["ndcg@5", "ndcg@5 on cold items", "ndcg@5 on warm items"]
    asked = [f"report.metrics=[{', '.join(metrics)}]", "report.main=ndcg@5 on cold items"]
    warm = [
        "experiment.dataset.split.warm=0.2",
        "experiment.dataset.split.valid=0.2",
        "experiment.dataset.split.test=0.2",
    ]
    planned = plan(study_of(study_file, *asked, *warm))
    assert planned.main == "ndcg@5 on cold items"
    store = RunStore(tmp_path / "runs")
    execute(planned.runs, store, on_run=ignore)
    scores = read_scores(planned.collect(store), planned.metrics, "test")
    for found in scores.values():
        users = [len(found[name].users) for name in metrics]
        assert users[0] > min(users[1:])
        assert all(np.isfinite(found[name].users).all() for name in metrics)


def test_a_group_that_validation_has_not_is_refused_before_anything_runs(study_file):
    with pytest.raises(ConfigError, match=r"report\.main: found 'ndcg@5 on cold items', but valid"):
        plan(study_of(study_file, "report.main=ndcg@5 on cold items"))
    with pytest.raises(ConfigError, match=r"metrics\.1: found 'ndcg@5 of cold users'.*warm users"):
        plan(study_of(study_file, "report.metrics=[ndcg@5, ndcg@5 of cold users]"))
    with pytest.raises(ConfigError, match=r"report\.main: found 'ndcg@5 on cold items', expected"):
        plan(load_study(study_file, ["report.main=ndcg@5 on cold items"]))


def test_epochs_are_selected_by_what_is_measured_of_everyone():
    judging = {"cutoffs": [5], "cold": True, "select": "ndcg@5 on cold items"}
    experiment = experiment_from({**COLD, "evaluation": judging})
    with pytest.raises(ConfigError, match=r"evaluation\.select: found 'ndcg@5 on cold items'"):
        check(experiment, load_dataset(experiment))


def test_classes_know_no_cold_items():
    dataset = {"name": "synthetic", "task": "classification", "items": 50, "users": 60}
    experiment = experiment_from(
        {"task": "classification", "dataset": dataset, "evaluation": {"cold": True}}
    )
    with pytest.raises(ConfigError, match=r"evaluation\.cold: found true, but classification"):
        check(experiment, load_dataset(experiment))
