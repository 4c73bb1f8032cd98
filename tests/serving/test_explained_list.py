"""A user's list: scores, their parts by modality, tokens of the first item, and the card."""

import json

import pytest
import torch
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import top_k
from fusionlab.serving.explained_list import explain_list
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

SMALL = {
    "dataset": {
        "name": "synthetic",
        "users": 60,
        "items": 50,
        "clicks": 10,
        "tokens": {"text": 12, "image": 1, "audio": 2},
        "missing": 0.2,
    },
    "dim": 8,
    "recommender": "hybrid",
    "training": {"epochs": 1, "modality_dropout": 0.3},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


def trained(store, **changes):
    return load_trained(run_experiment(experiment_from({**SMALL, **changes}), store).id, store)


def test_scores_are_what_modalities_and_ids_say(store):
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    run = trained(store)
    _, dataset, task = run
    ids = dataset.interactions.user_ids
    found = explain_list(run, str(ids[7]), k=5, tokens=True)
    items, scores = top_k(task.ranker(), task.train, torch.tensor([7]), 5)
    assert [one.item for one in found.items] == [str(dataset.item_ids[int(i)]) for i in items[0]]
    assert [one.score for one in found.items] == pytest.approx(scores[0].tolist())
    for one in found.items:
        assert one.nothing + sum(one.shapley.values()) == pytest.approx(one.score, abs=1e-5)
    first = int(items[0, 0])
    for name, values in found.tokens.items():
        there = task.judged.mask[name][first].tolist()
        assert [value is not None for value in values] == there


def test_what_a_model_never_saw_is_left_out(store):
    run = trained(store, training={"epochs": 1})
    user = str(run.dataset.interactions.user_ids[0])
    found = explain_list(run, user)
    assert found.hidden
    assert {(one.nothing, len(one.shapley)) for one in found.items} == {(None, 0)}
    assert found.tokens is None
    asked = explain_list(run, user, untrained_coalitions=True)
    assert not asked.hidden
    assert all(len(one.shapley) == 3 for one in asked.items)


def test_who_has_no_list_is_refused(store):
    with pytest.raises(FusionlabError, match="found 'nobody', expected a user of dataset"):
        explain_list(trained(store), "nobody")
    with pytest.raises(FusionlabError, match="reads no item features"):
        explain_list(trained(store, recommender="popularity"), "nobody")
    classes = {"name": "synthetic", "items": 60, "task": "classification"}
    classifier = trained(store, task="classification", dataset=classes, recommender="content")
    with pytest.raises(FusionlabError, match="--user: found items with classes, expected a run"):
        explain_list(classifier, "i0")


def test_tokens_are_those_of_a_fusion(store):
    run = trained(store, recommender="content_knn")
    with pytest.raises(FusionlabError, match="--tokens: recommender 'content_knn' fuses nothing"):
        explain_list(run, str(run.dataset.interactions.user_ids[0]), tokens=True)


def test_the_card_and_the_file(store, tmp_path, monkeypatch):
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    monkeypatch.chdir(tmp_path)
    run = trained(store)
    user = str(run.dataset.interactions.user_ids[3])
    asked = ["audit", run.record.id, "--runs", str(store.root)]
    given = [*asked, "--user", user, "--tokens", "--json", "list.json"]
    result = CliRunner().invoke(main, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for word in ("top list", f"user {user}", "nothing", "image", "integrated gradients"):
        assert word in result.output
    assert len(json.loads((tmp_path / "list.json").read_text())["items"]) == 10
    for extra in (["--retrain"], ["--split", "test"], ["--figure", "a.pdf"], ["--users", "9"]):
        wrong = CliRunner().invoke(main, [*asked, "--user", user, *extra])
        assert wrong.exit_code == 2
        assert "expected none beside --user" in wrong.output
    assert "expected --user beside it" in CliRunner().invoke(main, [*asked, "--tokens"]).output
