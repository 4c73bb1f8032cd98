"""From the feedback log to an updated run: what is learned, what judges, what is refused."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from small_runs import GOOD, SMALL, bpr, log_test_clicks, trained_run

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.serving.events import Event
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import feedback_file, open_feedback
from fusionlab.serving.update import update
from fusionlab.studies import update as update_module
from fusionlab.studies.audit import audit
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def test_an_update_is_a_run_beside_the_other(store):
    trained = bpr(store)
    count = log_test_clicks(trained, store)
    found = update(trained.record.id, store, GOOD)
    assert found.after > found.before
    again = update(trained.record.id, store, GOOD)
    assert (again.record.id, again.before, again.after) == (
        found.record.id,
        found.before,
        found.after,
    )
    back = load_trained(found.record.id, store)
    held = round(0.2 * count)
    added = len(back.dataset.interactions.train) - len(trained.dataset.interactions.train)
    assert added == count - held - 1  # and the dislike
    assert back.task.validate() == found.record.metrics["valid"]
    assert back.record.updated_from["run"] == trained.record.id
    assert back.record.updated_from["metric"] == "ndcg@5"
    assert back.record.dataset["clicks"]["train"] == len(back.dataset.interactions.train)
    assert len(store.runs()) == 2


def test_a_line_of_updates_has_one_log(store, monkeypatch):
    trained = bpr(store)
    log_test_clicks(trained, store)
    first = update(trained.record.id, store, GOOD).record
    assert feedback_file(first, store) == feedback_file(trained.record, store)
    service = Service(load_trained(first.id, store), log=FeedbackLog(feedback_file(first, store)))
    events = open_feedback(first.id, store).events(kinds=["click"])
    user, clicked = events[-1].user, {one.item for one in events if one.user == events[-1].user}
    assert not clicked & {one.item for one in service.recommend([user], k=40)[0].items}
    items = [str(one) for one in trained.dataset.item_ids]
    with open_feedback(first.id, store) as log:
        log.add(*(Event("click", f"u{n}", item, 2e6 + n) for n, item in enumerate(items)))
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    second = update(first.id, store, GOOD)
    assert second.record.root == trained.record.id
    assert second.record.updated_from["run"] == first.id
    assert sorted(set(second.record.words()["step"])) == [1, 2]
    back = load_trained(second.record.id, store)
    assert back.task.validate() == second.record.metrics["valid"]


@pytest.mark.parametrize("recommender", ["content", "ease"])
def test_retraining_is_a_run_on_old_and_new_clicks(store, recommender, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    trained = trained_run(store, recommender=recommender)
    log_test_clicks(trained, store)
    one, other = update(trained.record.id, store, None), update(trained.record.id, store, GOOD)
    back = load_trained(one.record.id, store)
    assert back.task.validate() == one.record.metrics["valid"]
    assert set(one.record.words()["step"]) == {0}
    rebuilt = set(other.record.words()["step"]) == {0}
    assert rebuilt is (recommender == "ease")
    if rebuilt:
        weights = [load_trained(x.record.id, store).task.model.weights for x in (one, other)]
        assert weights[0].equal(weights[1])
        assert not weights[0].equal(trained.task.model.weights)


def test_an_update_that_was_killed_goes_on(store, monkeypatch):
    trained = bpr(store)
    log_test_clicks(trained, store)
    monkeypatch.setattr("fusionlab.training.loop.CHECKPOINT_SECONDS", -1.0)

    def kill(entry):
        if entry["epoch"] == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update(trained.record.id, store, GOOD, on_epoch=kill)
    seen = []
    one = update(trained.record.id, store, GOOD, on_epoch=lambda e: seen.append(e["epoch"])).record
    assert seen[0] == 7
    state = load_file(one.folder / "model.safetensors")
    (store.root / one.id).rename(store.root.parent / "aside")
    whole = update(trained.record.id, store, GOOD).record
    other = load_file(whole.folder / "model.safetensors")
    assert whole.id == one.id
    assert all(state[name].equal(other[name]) for name in state)


@pytest.mark.parametrize("options", [FineTuning(epochs=1), None])
def test_the_context_of_feedback_is_learned(store, options, monkeypatch):
    """In every model that comes of it, brought back too; other keys of a context are no column."""
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    trained = trained_run(store, fusion="user_gate", dataset={**SMALL["dataset"], "situations": 3})
    before = trained.dataset.interactions.train
    told = [{"situation": 2, "page": 7}, {"situation": "1"}, {"situation": "dusk"}, "2", None]
    free = [item for item in range(40) if item not in before.items[before.users == 7].tolist()]
    with open_feedback(trained.record.id, store) as log:
        for n, context in enumerate(told):
            log.add(Event("click", "u7", f"i{free[n]}", float(n), context=context))
        log.add(Event("click", "u7", f"i{free[5]}", 99.0))  # held out
    new = update(trained.record.id, store, options).record
    task = load_trained(new.id, store).task
    added = (task.train.users == 7).nonzero()[-5:, 0]
    assert task.train.items[added].tolist() == free[:5]
    assert task.train.context[added].tolist() == [[2], [1], [3], [3], [3]]
    task.prepare()
    assert task.situations.equal(task.train.context)


def test_an_updated_run_is_audited_as_it_is(store, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    trained = trained_run(store, recommender="content")
    log_test_clicks(trained, store)
    back = load_trained(update(trained.record.id, store, GOOD).record.id, store)
    assert audit(back, store, untrained_coalitions=True).units > 0
    with pytest.raises(FusionlabError, match=r"--retrain: run .* was updated from feedback"):
        audit(back, store, retrain=True)


def test_a_classifier_has_no_feedback(store):
    classes = {"name": "synthetic", "items": 60, "task": "classification"}
    data = {**SMALL, "task": "classification", "dataset": classes, "evaluation": {}}
    run = run_experiment(experiment_from(data), store)
    with pytest.raises(FusionlabError, match="found a classifier"):
        update(run.id, store, GOOD)


def test_the_command_says_what_does_not_go_together():
    tuned = CliRunner().invoke(main, ["update", "x", "--retrain", "--epochs", "2"])
    assert "--epochs: tunes, expected none beside --retrain" in tuned.output
    without = CliRunner().invoke(main, ["update", "x", "--without-users", "a.txt"])
    assert "--without-users: expected --retrain beside it" in without.output


def test_the_command_prints_both_numbers_and_the_new_run(store):
    trained = bpr(store)
    log_test_clicks(trained, store)
    words = ["update", trained.record.id[:12], "--runs", str(store.root)]
    found = CliRunner().invoke(main, [*words, "--epochs", "40", "--learning-rate", "5"])
    assert found.exit_code == 0, found.output
    new = next(run for run in store.runs() if run != trained.record.id)
    record = json.loads((store.folder(new) / "record.json").read_text())["updated_from"]
    expected = f"present {record['before']:.4f}, updated {record['after']:.4f}"
    assert expected in found.output
    assert new[:12] in found.output
    assert record["fine_tuning"]["epochs"] == 40


def test_what_began_with_another_catalogue_can_be_tuned_and_brought_back(store, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    data = {"name": "synthetic", "users": 40, "items": 30, "clicks": 10, "seed": 1, "world": 0}
    experiment = experiment_from(
        {
            "dataset": data,
            "dim": 8,
            "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
            "evaluation": {"cutoffs": [5]},
            "transfer": {"source": {"dataset": {"seed": 2}}, "tune": True},
        }
    )
    trained = load_trained(run_experiment(experiment, store).id, store)
    log_test_clicks(trained, store)
    with pytest.raises(FusionlabError, match=r"began with another run's \(transfer\).*tune it"):
        update(trained.record.id, store, None)
    found = update(trained.record.id, store, FineTuning(epochs=1)).record
    assert found.source == trained.record.source
    assert load_trained(found.id, store).task.validate() == found.metrics["valid"]
