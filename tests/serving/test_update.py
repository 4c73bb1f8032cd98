"""From the feedback log to an updated run: what is learned, what judges, what is refused."""

import json
import random

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from small_runs import SMALL, trained_run

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.data.words import SCHEMA, in_rows, keys_of
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings
from fusionlab.serving.events import Event
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.forget import forget
from fusionlab.serving.last_words import last_words
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import feedback_file, open_feedback
from fusionlab.serving.update import told_by, update
from fusionlab.studies import update as update_module
from fusionlab.studies.audit import audit
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

GOOD = FineTuning(epochs=40, learning_rate=5.0)
BAD = FineTuning(epochs=5, learning_rate=1000.0)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def bpr(store):
    return trained_run(store, recommender="bpr_mf")


def log_test_clicks(trained, store, seed=0):
    """Three quarters of the test split is clicked, and one train click disliked."""
    clicks = trained.dataset.interactions
    test = clicks.test.open(Openings(), "feedback to come")
    users = [str(one) for one in clicks.user_ids]
    items = [str(one) for one in trained.dataset.item_ids]
    pairs = [*zip(test.users.tolist(), test.items.tolist(), strict=True)]
    random.Random(seed).shuffle(pairs)
    pairs = pairs[: len(pairs) // 4 * 3]
    events = [
        Event("click", users[user], items[item], float(n)) for n, (user, item) in enumerate(pairs)
    ]
    first = items[int(clicks.train.items[0])]
    with open_feedback(trained.record.id, store) as log:
        log.add(
            *events, Event("dislike", users[0], first, 1e6), Event("impression", users[1], "i0")
        )
    return len(pairs)


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


def test_a_worse_model_does_not_replace_the_present_one(store):
    trained = bpr(store)
    log_test_clicks(trained, store)
    found = update(trained.record.id, store, BAD)
    assert found.record is None
    assert found.after < found.before
    assert store.runs() == [trained.record.id]
    assert not [*store.root.glob(".partial/*")]
    words = ["update", trained.record.id, "--runs", str(store.root), "--epochs", "5"]
    told = CliRunner().invoke(main, [*words, "--learning-rate", "1000"])
    assert told.exit_code == 1
    assert f"present {found.before:.4f}, updated {found.after:.4f}" in told.output
    assert "worse and is not kept" in told.output


def test_where_both_are_level_validation_decides(store, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 0.0)
    training = {"epochs": 30, "batch_size": 256, "learning_rate": 0.02}
    trained = trained_run(
        store,
        recommender="bpr_mf",
        dataset={"name": "synthetic", "users": 300, "items": 60, "clicks": 20},
        training=training,
    )
    log_test_clicks(trained, store)
    found = update(trained.record.id, store, BAD)
    assert found.record is None
    assert (found.before, found.after) == (0.0, 0.0)
    assert found.judged_by > 1
    before, after, p = found.tie
    assert after < before
    assert p < 0.05
    words = ["update", trained.record.id, "--runs", str(store.root), "--epochs", "5"]
    told = CliRunner().invoke(main, [*words, "--learning-rate", "1000"])
    assert told.exit_code == 1
    assert f"held-out feedback ({found.judged_by} clicks)" in told.output
    assert f"validation decides: present {before:.4f}, updated {after:.4f}" in told.output


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


def test_the_present_model_is_judged_by_what_it_has_learned(store):
    """Users are histories, the new clicks among them; similarities of items are still the old."""
    trained = trained_run(store, recommender="ease")
    log_test_clicks(trained, store)
    found = update(trained.record.id, store, None)
    assert found.before != found.after


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


def test_the_latest_new_likes_are_held_out(store):
    trained = trained_run(store)
    clicks = trained.dataset.interactions
    known = str(trained.dataset.item_ids[int(clicks.train.items[0])])
    user = str(clicks.user_ids[0])
    there = set(clicks.train.items[: int(clicks.train.indptr[1])].tolist())
    new = [str(one) for row, one in enumerate(trained.dataset.item_ids) if row not in there][:5]
    events = [Event("click", user, item, 10.0 - n) for n, item in enumerate(new)]
    events += [
        Event("click", user, known, 50.0),  # nothing new
        Event("click", "gone", new[0], 60.0),
        Event("rating", user, "i39", 70.0, rating=3.0),
    ]
    told = told_by(last_words(events, None), trained.dataset, 0.4)
    assert set(told.held["item"]) == set(new[:2])
    assert set(told.words.filter("liked")["item"]) == {*new[2:], known}
    assert set(told.words.filter(pl.col("liked").is_null())["item"]) == {*new[:2], "i39"}
    assert set(told.words["user"]) == {user}
    assert len(told_by(last_words(events, None), trained.dataset, 0.01).held) == 1
    assert len(told_by(last_words(events[:1], None), trained.dataset, 0.9).held) == 0


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


def test_nothing_new_is_refused(store):
    trained = trained_run(store)
    for options in (GOOD, None):
        with pytest.raises(FusionlabError, match="found nothing new"):
            update(trained.record.id, store, options)


def test_what_is_held_out_leaves_validation_and_test(store, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    trained = bpr(store)
    log_test_clicks(trained, store)
    users, items = trained.dataset.interactions.user_ids, trained.dataset.item_ids
    valid = trained.dataset.interactions.valid
    with open_feedback(trained.record.id, store) as log:
        for user, item in [*zip(valid.users.tolist(), valid.items.tolist(), strict=True)][:20]:
            log.add(Event("click", str(users[user]), str(items[item]), 1e5))  # the latest
        words = last_words(log.events(), None)
    held = in_rows(trained.dataset, told_by(words, trained.dataset).held)["key"].to_numpy()
    assert np.isin(held, keys_of(valid)).sum() > 3
    for options in (GOOD, None):
        found = update(trained.record.id, store, options)
        back = load_trained(found.record.id, store).dataset.interactions
        test = back.test.open(Openings(), "held out")
        for some in (back.train, back.valid, test):
            assert not np.isin(held, keys_of(some)).any()


def test_dislikes_alone_are_learned_afresh_and_validation_judges(store):
    trained = trained_run(store, recommender="hybrid")
    clicks = trained.dataset.interactions
    users, items = clicks.user_ids, trained.dataset.item_ids
    pairs = [*zip(clicks.train.users.tolist(), clicks.train.items.tolist(), strict=True)][::9]
    with open_feedback(trained.record.id, store) as log:
        log.add(*(Event("dislike", str(users[u]), str(items[i]), 1.0) for u, i in pairs))
    with pytest.raises(FusionlabError, match="some to tune on; retrain: that learns from dislikes"):
        update(trained.record.id, store, GOOD)
    found = update(trained.record.id, store, None)
    assert (found.judged_by, found.before, found.after) == (0, None, None)
    before, after, p = found.tie
    assert (found.record is None) is (after < before and p < 0.05)


def test_a_click_of_one_user_does_not_decide(store, monkeypatch):
    worths = iter([1.0, 0.0])  # of the present model, and of the new one
    monkeypatch.setattr(update_module, "worth", lambda *_: next(worths))
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    trained = bpr(store)
    user, item = str(trained.dataset.interactions.user_ids[0]), trained.dataset.item_ids
    known = {*trained.dataset.interactions.train.items.tolist()[:60]}
    new = [str(one) for row, one in enumerate(item) if row not in known][:4]
    with open_feedback(trained.record.id, store) as log:
        log.add(*(Event("click", user, one, float(n)) for n, one in enumerate(new)))
    found = update(trained.record.id, store, GOOD)
    assert (found.before, found.after, found.judged_by) == (1.0, 0.0, 1)
    assert found.tie == (1.0, 1.0, 1.0)
    assert found.record is not None


def test_a_model_without_somebody_who_is_gone_is_kept_however_bad(store, monkeypatch):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    trained = bpr(store)
    log_test_clicks(trained, store)
    with open_feedback(trained.record.id, store, new_users=True) as log:
        log.add(*(Event("click", "newcomer", f"i{n}", -100.0 + n) for n in range(8)))
    joined = update(trained.record.id, store, None).record
    assert "newcomer" in {*joined.words()["user"]}
    forget(joined.id, "newcomer", store)
    worths = iter([1.0, 0.0])
    monkeypatch.setattr(update_module, "worth", lambda *_: next(worths))
    found = update(joined.id, store, None)
    assert found.record is not None
    assert found.before is None
    assert any("somebody who is gone" in one for one in found.notes)
    assert "newcomer" not in {*found.record.words()["user"]}


@pytest.mark.parametrize(
    ("before", "after", "misses"),
    [(["a", "b"], ["b", "a", "c"], False), (["a", "b"], ["a"], True), (["a", None], ["a"], True)],
)
def test_somebody_is_missed_who_joined_and_does_not_now(before, after, misses):
    said = {"user": ["a"], "item": ["i"], "liked": [True]}
    one, other = (
        pl.DataFrame({"user": some, "item": None, "liked": None}, schema=SCHEMA)
        for some in (after, before)
    )
    more = pl.DataFrame(said, schema=SCHEMA)
    assert update_module._misses_somebody(pl.concat([one, more]), other) is misses


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
    found = update(trained.record.id, store, FineTuning(epochs=1)).record
    assert found.source == trained.record.source
    assert load_trained(found.id, store).task.validate() == found.metrics["valid"]
