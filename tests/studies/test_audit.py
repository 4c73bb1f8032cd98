"""The audit of a run: its figures by their definitions, and who may be told what."""

import pytest
import torch
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import top_k
from fusionlab.studies.audit import audit
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained
from fusionlab.studies.view_weights import mean_view_weights

SMALL = {
    "dataset": {"name": "synthetic", "users": 120, "items": 80, "clicks": 12, "noise": 0.1},
    "dim": 16,
    "training": {
        "epochs": 6,
        "batch_size": 128,
        "learning_rate": 0.01,
        "modality_dropout": 0.3,
    },
    "evaluation": {"cutoffs": [5]},
}
CLASSES = {
    "task": "classification",
    "dataset": {"name": "synthetic", "items": 300, "task": "classification", "classes": 2},
    "evaluation": {},
}
NAMES = ["text", "image", "audio"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


def trained(store, **changes):
    return load_trained(run_experiment(experiment_from({**SMALL, **changes}), store).id, store)


@pytest.mark.parametrize("changes", [{}, CLASSES], ids=["clicks", "classes"])
def test_figures_are_what_they_say(store, changes):
    found = trained(store, **changes)
    told = audit(found, store)
    metric = told.metric
    assert told.whole.mean == pytest.approx(found.record.metrics["valid"][metric])
    known = found.dataset.labels if changes else found.dataset.interactions
    splits = {"valid": known.valid}
    for name in NAMES:
        without = found.task.judge(splits, {name})["valid"].means()[metric]
        one = told.modalities[name]
        assert one.masked.mean == pytest.approx(told.whole.mean - without)
        assert set(one.knockouts) == {"shuffled", "noise", "constant", "mean"}
    total = sum(one.shapley.mean for one in told.modalities.values())
    assert total == pytest.approx(told.whole.mean - told.nothing.mean)
    assert not told.warnings
    assert told.coalition_training == "dropout"
    again = found.task.judge(splits)["valid"].means()[metric]
    assert again == pytest.approx(told.whole.mean), "the task reads what it read before"


def test_what_a_model_never_saw_is_told_only_to_who_asks(store):
    found = trained(store, training={**SMALL["training"], "modality_dropout": 0})
    told = audit(found, store)
    assert told.hidden
    assert told.nothing is None
    assert {(one.masked, one.shapley) for one in told.modalities.values()} == {(None, None)}
    assert all(len(one.knockouts) == 4 for one in told.modalities.values())
    asked = audit(found, store, untrained_coalitions=True)
    assert not asked.hidden
    assert all(one.shapley for one in asked.modalities.values())


def test_a_modality_that_says_nothing_is_told_from_one_that_says_all(store):
    atoms = [{"kind": "copy", "over": ["text"]}, {"kind": "copy", "over": ["text"], "name": "2"}]
    shop = {**SMALL["dataset"], "users": 400, "atoms": atoms, "nuisance": 0}
    longer = {**SMALL["training"], "epochs": 15}
    told = audit(trained(store, dataset=shop, training=longer), store)
    text, audio = told.modalities["text"], told.modalities["audio"]
    for effect in (*text.knockouts.values(), text.masked, text.shapley):
        assert effect.mean > 5 * effect.error > 0
    assert audio.shapley.mean < text.shapley.mean / 5
    assert abs(audio.knockouts["mean"].mean) < text.knockouts["mean"].mean / 5


def test_retrained_without(store):
    found = trained(store)
    told = audit(found, store, retrain=True, users=40)
    users = found.dataset.interactions.valid.some_users(40)
    ids = found.dataset.interactions.user_ids[users.numpy()].to_list()
    assert told.units == 40
    rest = experiment_from({**SMALL, "inputs": {"modalities": ["image", "audio"]}})
    frame = run_experiment(rest, store).per_user()
    chosen = frame.filter((frame["split"] == "valid") & frame["user"].is_in(ids))
    lost = told.whole.mean - chosen[told.metric].mean()
    assert told.modalities["text"].retrained.mean == pytest.approx(lost)


def test_opening_test_is_written_into_the_record(store):
    found = trained(store, seed=5)
    assert len(found.record.test_opened) == 1
    audit(found, store)
    assert len(store.load(found.record.id).test_opened) == 1
    told = audit(found, store, split="test")
    assert told.whole.mean == pytest.approx(found.record.metrics["test"][told.metric])
    opened = store.load(found.record.id).test_opened
    assert len(opened) == 2
    assert "audit" in opened[1]["why"]


def test_view_weights_are_those_of_the_lists(store):
    _, _, task = trained(store, fusion="user_gate", recommender="hybrid")
    users = torch.arange(50)
    found = mean_view_weights(task, users, k=5)
    lists, _ = top_k(task.ranker(), task.train, users, 5)
    items = task.ranker().items
    with torch.no_grad():
        query = task.model.user_views(users, items)
        scores = torch.einsum("bkd,nkd->bnk", query, items.views)
        weights = task.model.fusion.view_weights(scores, query, items.present.expand(scores.shape))
    by_hand = torch.stack([weights[u, lists[u]].mean(0) for u in users]).mean(0)
    assert list(found.values()) == pytest.approx(by_hand.tolist(), abs=1e-6)
    assert list(found) == NAMES
    assert sum(found.values()) == pytest.approx(1)
    classes = trained(store, **CLASSES, fusion="mean_scores").task
    assert mean_view_weights(classes, torch.arange(9)) == pytest.approx(dict.fromkeys(NAMES, 1 / 3))
    assert mean_view_weights(trained(store).task, users) == {}


def test_the_card_and_the_files(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = trained(store, fusion="mean_scores").record.id
    asked = ["audit", run[:10], "--runs", str(store.root)]
    files = ["--json", "a/b.json", "--figure", "fig.pdf", "--users", "30"]
    result = CliRunner().invoke(main, [*asked, *files], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for word in ("Shapley", "shuffled", "masked", "view weights", "R²", "coalition training"):
        assert word in result.output
    assert (tmp_path / "a/b.json").stat().st_size > 500
    assert (tmp_path / "fig.pdf").is_file()
    assert (tmp_path / "fig.png").is_file()
    wrong = CliRunner().invoke(main, [*asked, "--metric", "ndgc@5"])
    assert wrong.exit_code == 1
    assert "did you mean 'ndcg@5'" in wrong.output


def test_what_has_no_modality_is_refused(store):
    with pytest.raises(FusionlabError, match="'bpr_mf' reads no item features"):
        audit(trained(store, recommender="bpr_mf"), store)
