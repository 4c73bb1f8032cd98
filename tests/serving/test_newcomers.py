"""People and items that training never saw: in the log, in service at once, in every update."""

import json

import polars as pl
import pytest
import torch
from click.testing import CliRunner
from growing import ITEMS, NEW_ITEMS, NEW_USERS, USERS, Shop
from small_runs import RENDERED, trained_run

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings
from fusionlab.serving.events import Event
from fusionlab.serving.last_words import Word
from fusionlab.serving.new_items import read_new_items
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.serving.update import told_by, update
from fusionlab.studies import update as update_module
from fusionlab.studies.datasets import _datasets
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained, with_more_items

NEW = range(USERS, USERS + NEW_USERS)
EVERY = ITEMS + NEW_ITEMS
FRESH = range(ITEMS, EVERY)
TUNED = FineTuning(epochs=6, learning_rate=1.0)
FACTORS = {
    "recommender": {"name": "bpr_mf", "l2": 0.05},
    "training": {"epochs": 60, "batch_size": 256, "learning_rate": 0.01},
}


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def kept(monkeypatch):
    """Every update is."""
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))


def test_somebody_new_is_served_by_what_they_clicked_at_once(store):
    trained = trained_run(store)
    with open_feedback(trained.record.id, store, new_users=True) as log:
        service = Service(trained, log=log)
        with pytest.raises(FusionlabError, match="found 'ann', expected one of 60 ids"):
            service.recommend(["ann"])
        log.add(Event("click", "ann", "i3"), Event("click", "ann", "i8"))
        (found,) = service.recommend(["ann"], 38)
        assert found.items == service.recommend_stranger(38, liked=["i3", "i8"]).items
        assert found.user == "ann"
        log.add(Event("dislike", "ann", "i3"), Event("undo", "ann", "i8"))
        (nothing,) = service.recommend(["ann"], 39)
        assert "i3" not in [one.item for one in nothing.items]
        assert "no history" in nothing.notes[0]


def test_the_log_asks_for_new_people_once_and_for_new_items_by_file(store, tmp_path):
    run = trained_run(store).record.id
    file = tmp_path / "new.jsonl"
    file.write_text('{"item": "n0"}')
    base = ["feedback", run, "add", "--runs", str(store.root), "--kind", "click", "--user", "ann"]
    refused = CliRunner().invoke(main, [*base, "--item", "i3"])
    assert "found 'ann', expected one of 60 ids" in " ".join(refused.output.split())
    assert "logged" in CliRunner().invoke(main, [*base, "--item", "i3", "--new-user"]).output
    assert "logged" in CliRunner().invoke(main, [*base, "--item", "i4"]).output
    assert "found 'n0'" in CliRunner().invoke(main, [*base, "--item", "n0"]).output
    assert (
        "logged" in CliRunner().invoke(main, [*base, "--item", "n0", "--items", str(file)]).output
    )


def test_learned_vectors_of_users_do_not_serve_somebody_new(store):
    trained = trained_run(store, recommender="bpr_mf")
    with open_feedback(trained.record.id, store, new_users=True) as log:
        log.add(Event("click", "ann", "i3"))
        with pytest.raises(FusionlabError, match=r"nothing of a stranger.*update RUN --retrain"):
            Service(trained, log=log).recommend(["ann"])


def test_who_joins_and_which_clicks_judge(store):
    dataset = trained_run(store).dataset
    free = [f"i{row}" for row in range(40)]
    words = [Word("ann", item, True, 50.0 - n) for n, item in enumerate(free[:5])]
    words += [Word("bob", free[0], True, 90.0), Word("bob", "n1", True, 91.0)]
    words += [Word("cat", free[0], None, 92.0), Word("ann", free[9], False, 93.0)]
    told = told_by(words, dataset, 0.9)
    assert told.words.filter(pl.col("item").is_null())["user"].to_list() == ["ann"]
    assert set(told.words["user"]) == {"ann"}
    assert set(told.held["item"]) == {*free[:3]}  # not the first two, which are the last here
    assert told.notes == (
        "new people who wait in the log for 2 likes on items of the run: 2",
        "words on items that the run does not have, left out (--items): 1",
    )
    assert told_by(words, dataset, 0.9, least=6).words.is_empty()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tuned_on_newcomers_their_lists_agree_better_with_their_tastes(seed, store, tmp_path):
    """Against the present model, which knows their histories too; its users are served no worse."""
    shop = Shop(tmp_path / "shop", seed)
    trained = shop.run(store, recommender="two_tower", seed=seed)
    shop.tell(trained, store)
    with open_feedback(trained.record.id, store) as log:
        before = [shop.agreement(Service(trained, log=log), who) for who in (NEW, range(USERS))]
        found = update(trained.record.id, store, TUNED)
        back = load_trained(found.record.id, store)
        after = [shop.agreement(Service(back, log=log), who) for who in (NEW, range(USERS))]
    assert found.judged_by > 0
    assert after[0] > before[0] + 0.04
    assert after[1] > before[1]
    assert back.task.validate() == found.record.metrics["valid"]
    assert found.record.dataset["users"] == USERS + NEW_USERS


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("recommender", ["bpr_mf", "hybrid"])
def test_retrained_with_newcomers_and_new_items_they_are_known(seed, recommender, store, tmp_path):
    """Who was refused before gets lists after their taste, not after another's; new items too."""
    shop = Shop(tmp_path / "shop", seed)
    changes = FACTORS if recommender == "bpr_mf" else {"recommender": recommender}
    trained = shop.run(store, seed=seed, **changes)
    shop.tell(trained, store, items=EVERY)
    found = update(trained.record.id, store, None, more_items=str(shop.file))
    back = load_trained(found.record.id, store)
    service = Service(back)
    assert shop.agreement(service, NEW, range(EVERY)) > 0.6
    assert shop.agreement(service, NEW, FRESH) > 0.45
    assert shop.agreement(service, range(USERS), FRESH) > 0.55
    assert abs(shop.agreement(service, NEW, range(EVERY), of=reversed(NEW))) < 0.25
    assert back.task.validate() == found.record.metrics["valid"]
    assert (found.before, found.judged_by) == (None, 0)  # clicks of people whom it did not know
    assert found.tie is not None


def test_tuned_on_clicks_on_new_items_these_are_ranked_better(store, tmp_path, kept):
    shop = Shop(tmp_path / "shop", seed=2)
    trained = shop.run(store, recommender="two_tower", seed=2)
    shop.tell(trained, store, items=EVERY)
    with open_feedback(trained.record.id, store) as log:
        present = Service(trained, read_new_items(shop.file, trained), log=log)
        before = shop.agreement(present, NEW, FRESH)
        found = update(trained.record.id, store, TUNED, more_items=str(shop.file)).record
        back = load_trained(found.id, store)
        assert shop.agreement(Service(back, log=log), NEW, FRESH) > before + 0.05
    assert found.dataset["items"] == EVERY
    assert back.task.validate() == found.metrics["valid"]
    for name, x in trained.task.features.values.items():
        assert back.task.features.values[name][:ITEMS].equal(x)  # scales stay, to the bit
    again = update(found.id, store, TUNED, more_items=str(shop.file)).record
    assert load_trained(again.id, store).task.validate() == again.metrics["valid"]


@pytest.mark.parametrize("options", [TUNED, None])
def test_new_clicks_never_reach_test(options, store, tmp_path, kept):
    shop = Shop(tmp_path / "shop")
    trained = shop.run(store, recommender="two_tower")
    shop.tell(trained, store, items=EVERY)
    found = update(trained.record.id, store, options, more_items=str(shop.file)).record
    parts = []
    for dataset in (trained.dataset, load_trained(found.id, store).dataset):
        clicks = dataset.interactions
        test = clicks.test.open(Openings(), "a test")
        parts.append([(x.users.tolist(), x.items.tolist()) for x in (clicks.valid, test)])
    assert parts[0] == parts[1]
    assert [one["why"] for one in found.test_opened] == ["final evaluation"]


def test_what_has_learned_of_each_user_or_item_is_not_tuned_on_new_ones(store, tmp_path):
    shop = Shop(tmp_path / "shop")
    trained = shop.run(store, recommender="hybrid")
    shop.tell(trained, store, [*NEW][:3])
    words = "has learned something of each user or item.*--retrain"
    with pytest.raises(FusionlabError, match=f"'hybrid' {words}"):
        update(trained.record.id, store, TUNED)
    with pytest.raises(FusionlabError, match=f"'hybrid' {words}"):
        update(trained.record.id, store, TUNED, more_items=str(shop.file))
    ids = shop.run(store, recommender={"name": "sequential", "item_ids": True})
    shop.tell(ids, store, [*NEW][:3])
    with pytest.raises(FusionlabError, match=f"'sequential' {words}"):
        update(ids.record.id, store, TUNED, more_items=str(shop.file))
    assert update(ids.record.id, store, FineTuning(epochs=1)).judged_by > 0


def test_new_items_begin_with_those_that_the_run_has(store, tmp_path, kept):
    shop = Shop(tmp_path / "shop")
    trained = shop.run(store, recommender="two_tower")
    shop.tell(trained, store, [*NEW][:5], items=EVERY)
    lines = shop.file.read_text().splitlines()
    (tmp_path / "few.jsonl").write_text("\n".join(lines[:5]))
    (tmp_path / "other.jsonl").write_text("\n".join(lines[1:]))
    few = update(trained.record.id, store, TUNED, more_items=str(tmp_path / "few.jsonl"))
    assert few.notes[0].startswith("words on items that the run does not have, left out")
    with pytest.raises(FusionlabError, match=r"expected its own first.*'i124' is the last"):
        update(few.record.id, store, TUNED, more_items=str(tmp_path / "other.jsonl"))
    more = update(few.record.id, store, TUNED, more_items=str(shop.file)).record
    assert more.dataset["items"] == EVERY
    assert load_trained(more.id, store).task.validate() == more.metrics["valid"]


def test_rows_that_are_dealt_out_are_not_dealt_anew_for_new_items(store, tmp_path):
    shop = Shop(tmp_path / "shop")
    trained = shop.run(store, recommender="two_tower", inputs={"shuffled": True})
    with pytest.raises(FusionlabError, match=r"inputs\.shuffled: found new items.*retrain"):
        with_more_items(trained, str(shop.file), store)


def test_the_command_takes_new_items(store, tmp_path, kept, monkeypatch):
    shop = Shop(tmp_path / "shop")
    trained = shop.run(store, recommender="two_tower")
    shop.tell(trained, store, [*NEW][:5], items=EVERY)
    monkeypatch.chdir(tmp_path / "shop")
    asked = ["update", trained.record.id, "--runs", str(store.root), "--epochs", "1"]
    told = CliRunner().invoke(main, [*asked, "--items", "new.jsonl"])
    assert told.exit_code == 0, told.output
    (new,) = (store.load(run) for run in store.runs() if run != trained.record.id)
    assert new.config["more_items"] == "new.jsonl"
    lists = ["recommend", new.id, "--runs", str(store.root), "--user", f"u{USERS}", "--k", "139"]
    assert f"i{EVERY - 1} " in CliRunner().invoke(main, lists).output


def test_new_items_come_as_media_or_vectors_and_are_encoded_as_the_catalogue_is(
    store, tmp_path, kept
):
    trained = trained_run(store, **RENDERED)
    media, features = trained.dataset.media, trained.dataset.features
    (tmp_path / "a.png").write_bytes(media["image"].entries[3])
    lines = [
        {"item": "n0", "text": media["text"].entries[3], "image": "a.png"},
        {"item": "n1", "text": features.values["text"][8, 0].tolist(), "audio": None},
    ]
    file = tmp_path / "new.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    with open_feedback(trained.record.id, store, new_items=file) as log:
        log.add(*(Event("click", f"u{n}", f"n{n % 2}", float(n)) for n in range(20)))
    for options in (TUNED, None):
        new = update(trained.record.id, store, options, more_items=str(file)).record
        back = load_trained(new.id, store)
        assert back.task.validate() == new.metrics["valid"]
        found = back.dataset.features
        for name in ("text", "image", "audio"):
            assert found.values[name][:40].equal(features.values[name])
        assert found.values["text"][40:].equal(features.values["text"][[3, 8]])
        assert found.values["image"][40].equal(features.values["image"][3])
        assert found.present("image")[40:].tolist() == [True, False]
        assert not found.present("audio")[40:].any()
        listed = {one.item: one.title for one in Service(back).recommend(["u50"], 42)[0].items}
        assert (listed["n0"], listed["n1"]) == (lines[0]["text"], None)


def test_new_items_go_through_an_encoder_that_is_trained(store, tmp_path, kept):
    text = {"name": "text_transformer", "model": "tiny", "max_length": 16}
    encoders = {"text": {"of": "text", "encoder": text, "trained": True}}
    trained = trained_run(store, **{**RENDERED, "encoders": encoders})
    file = tmp_path / "new.jsonl"
    file.write_text(json.dumps({"item": "n0", "text": trained.dataset.media["text"].entries[3]}))
    with open_feedback(trained.record.id, store, new_items=file) as log:
        log.add(*(Event("click", f"u{n}", "n0", float(n)) for n in range(9)))
    new = update(trained.record.id, store, FineTuning(epochs=1), more_items=str(file)).record
    back = load_trained(new.id, store)
    assert back.task.validate() == new.metrics["valid"]
    views = back.task.ranker().items.views
    torch.testing.assert_close(views[40], views[3], atol=1e-5, rtol=1e-4)
    file.write_text('{"item": "n0", "text": [1.0]}')
    _datasets.clear()
    with pytest.raises(FusionlabError, match="text: found vectors, expected media"):
        update(trained.record.id, store, FineTuning(epochs=1), more_items=str(file))
