"""Which of two models stays: what judges them, and what goes whatever they are worth."""

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner
from small_runs import BAD, GOOD, bpr, log_test_clicks, trained_run

from fusionlab.cli import main
from fusionlab.data.words import SCHEMA, in_rows, keys_of
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings
from fusionlab.serving.events import Event
from fusionlab.serving.forget import forget
from fusionlab.serving.last_words import last_words
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.serving.update import told_by, update
from fusionlab.studies import update as update_module
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


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


def test_an_update_that_fails_leaves_no_empty_folder(store, monkeypatch):
    trained = bpr(store)
    log_test_clicks(trained, store)

    def broken(*_, **__):
        raise FusionlabError("broken")

    monkeypatch.setattr(update_module, "fine_tune", broken)
    with pytest.raises(FusionlabError, match="broken"):
        update(trained.record.id, store, GOOD)
    assert not [*store.root.glob(".partial/*")]


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


def test_the_present_model_is_judged_by_what_it_has_learned(store):
    """Users are histories, the new clicks among them; similarities of items are still the old."""
    trained = trained_run(store, recommender="ease")
    log_test_clicks(trained, store)
    found = update(trained.record.id, store, None)
    assert found.before != found.after


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


def test_what_is_lower_on_both_is_not_kept(store, monkeypatch):
    worths, validation = iter([1.0, 0.0]), iter([torch.ones(9), torch.full((9,), 0.999)])
    monkeypatch.setattr(update_module, "worth", lambda *_: next(worths))
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: next(validation))
    monkeypatch.setattr(update_module, "paired_permutation", lambda *_: 0.9)
    trained = bpr(store)
    clicks, items = trained.dataset.interactions, trained.dataset.item_ids
    known = {*clicks.train.items.tolist()[:60]}
    new = [str(one) for row, one in enumerate(items) if row not in known][:4]
    with open_feedback(trained.record.id, store) as log:
        log.add(*(Event("click", str(clicks.user_ids[0]), x, float(n)) for n, x in enumerate(new)))
    found = update(trained.record.id, store, GOOD)
    assert found.judged_by == 1
    assert found.tie[1] < found.tie[0]
    assert found.record is None


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
