"""Judging with each modality missing in turn."""

import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.features import ItemFeatures
from fusionlab.errors import ConfigError
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.inputs import missing_in_turn
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

SMALL = {
    "dataset": {"name": "synthetic", "users": 60, "items": 50, "clicks": 10},
    "training": {"epochs": 2},
    "evaluation": {"one_missing": True},
}
CLASSES = {"task": "classification", "dataset": {**SMALL["dataset"], "task": "classification"}}


@pytest.mark.parametrize(("task", "metric"), [({}, "ndcg@20"), (CLASSES, "accuracy")])
def test_a_masked_modality_is_one_that_was_never_there(task, metric, tmp_path):
    experiment = experiment_from({**SMALL, **task})
    record = run_experiment(experiment, RunStore(tmp_path))
    names = ("text", "image", "audio")
    for split in ("valid", "test"):
        found = record.metrics[split]
        each = [found[f"{metric} without {name}"] for name in names]
        assert found[f"{metric} one missing"] == pytest.approx(sum(each) / 3)
        assert len({*each, found[metric]}) > 1
    users = record.per_user()
    assert f"{metric} one missing" in users.columns


def test_it_is_the_metric_of_the_catalogue_that_lacks_the_modality():
    experiment = experiment_from(SMALL)
    dataset = load_dataset(experiment)
    task = build_task(experiment, dataset)
    splits = {"valid": dataset.interactions.valid}
    masked = task.judge(splits, {"image"})["valid"].means()
    whole = task.judged
    task.judged = whole.only(["text", "audio"])
    assert task.judge(splits)["valid"].means() == masked
    assert isinstance(whole, ItemFeatures)


def test_who_reads_no_features_loses_nothing(tmp_path):
    record = run_experiment(
        experiment_from({**SMALL, "recommender": "popularity"}), RunStore(tmp_path)
    )
    found = record.metrics["test"]
    assert found["ndcg@20 one missing"] == found["ndcg@20"]
    assert {found[f"ndcg@20 without {name}"] for name in ("text", "image", "audio")} == {
        found["ndcg@20"]
    }


def test_every_row_of_a_study_is_judged_by_the_same_modalities(tmp_path):
    one = experiment_from({**SMALL, "inputs": {"modalities": ["image"]}})
    found = run_experiment(one, RunStore(tmp_path)).metrics["test"]
    assert found["ndcg@20 without text"] == found["ndcg@20 without audio"] == found["ndcg@20"]
    assert found["ndcg@20 without image"] != found["ndcg@20"]
    mean = (2 * found["ndcg@20"] + found["ndcg@20 without image"]) / 3
    assert found["ndcg@20 one missing"] == pytest.approx(mean)


def test_token_ids_of_a_column_are_no_modality_of_their_own():
    x, mask = torch.zeros(2, 1, 1), torch.ones(2, 1, dtype=torch.bool)
    names = ["words", "ids", "image", "title"]
    features = ItemFeatures(
        dict.fromkeys(names, x), dict.fromkeys(names, mask), {"ids": 9, "title": 9}
    )
    tokens = {"name": "text_tokens", "model": "any"}
    encoders = {
        "words": {"of": "text", "encoder": "tfidf"},
        "ids": {"of": "text", "encoder": tokens},
        "title": {"of": "title", "encoder": tokens},
    }
    found = missing_in_turn(experiment_from({**SMALL, "encoders": encoders}), features)
    assert found == {"words": {"words", "ids"}, "image": {"image"}, "title": {"title"}}


def test_no_epoch_is_selected_by_it(tmp_path):
    wrong = experiment_from({**SMALL, "evaluation": {"select": "ndcg@20 one missing"}})
    with pytest.raises(ConfigError, match=r"evaluation\.select.*found 'ndcg@20 one missing'"):
        run_experiment(wrong, RunStore(tmp_path))
