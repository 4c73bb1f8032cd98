"""Fine-tuning: what it changes, that it learns, and the same bits however it got there."""

import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.words import SCHEMA
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings
from fusionlab.studies.fine_tuning import FineTuning, Told, fine_tune, tunable, worth
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained
from fusionlab.training import loop

SMALL = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12},
    "dim": 8,
    "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
}
LEARNED = [
    "content",
    "hybrid",
    "bpr_mf",
    "lightgcn_id",
    "lightgcn",
    "sequential",
    "two_tower",
    "item_graph",
]
FAST = FineTuning(epochs=4, learning_rate=2.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


def trained_run(store, **changes):
    return load_trained(run_experiment(experiment_from({**SMALL, **changes}), store).id, store)


def coming(trained, users=range(60)):
    """What users will click: the test clicks of some."""
    clicks = trained.dataset.interactions
    test = clicks.test.open(Openings(), "feedback to come").only(torch.tensor([*users]))
    ids = clicks.user_ids.to_list(), [str(one) for one in trained.dataset.item_ids]
    rows = zip(test.users.tolist(), test.items.tolist(), strict=True)
    return pl.DataFrame(
        [(ids[0][user], ids[1][item], True) for user, item in rows], schema=SCHEMA, orient="row"
    )


def state(trained):
    return {name: one.clone() for name, one in trained.task.model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.mark.parametrize("recommender", LEARNED)
def test_every_recommender_that_learns_is_tuned(store, recommender):
    trained = trained_run(store, recommender=recommender)
    words, before = coming(trained), state(trained)
    first, again = (fine_tune(trained, words, FAST) for _ in range(2))
    assert equal(before, state(trained))  # not in place
    assert not equal(before, state(first))
    assert equal(state(first), state(again))
    assert first.record.id == again.record.id != trained.record.id
    assert first.record.updated_from["run"] == trained.record.id
    assert len(first.record.history) == 4
    train = first.dataset.interactions.train
    assert len(train) == len(trained.dataset.interactions.train) + len(words)
    assert first.task.model.context.clicks is train
    assert len(fine_tune(first, _dislike(first)).task.train) == len(train)


def _dislike(trained):
    """A click that was not there, for one that was."""
    clicks, ids = trained.dataset.interactions, trained.dataset.item_ids.cast(pl.String)
    user, there = clicks.user_ids[0], clicks.train.items[: int(clicks.train.indptr[1])].tolist()
    new = next(row for row in range(40) if row not in there)
    rows = [(user, ids[new], True), (user, ids[there[0]], False)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def test_tuning_learns_what_users_clicked(store):
    """By far: factors of users who come back are fitted to what they came back for."""
    trained = trained_run(store, recommender="bpr_mf")
    words = coming(trained)
    tuned = fine_tune(trained, words, FineTuning(epochs=60, learning_rate=5.0))
    nothing = pl.DataFrame(schema=SCHEMA)
    before, after = (
        worth(task, trained.dataset, Told(nothing, words)) for task in (trained.task, tuned.task)
    )
    assert after > 3 * before


def test_replay_keeps_what_new_clicks_of_few_would_wash_out(store):
    """Tuned on three users' clicks, the others are served better if old clicks are replayed."""
    trained = trained_run(store, recommender="bpr_mf", training={**SMALL["training"], "epochs": 40})
    words = coming(trained, users=range(3))
    rest = Told(pl.DataFrame(schema=SCHEMA), coming(trained, users=range(3, 60)))
    with_old, without = (
        worth(fine_tune(trained, words, options).task, trained.dataset, rest)
        for options in (
            FineTuning(epochs=100, learning_rate=10.0, replay=0.95),
            FineTuning(epochs=100, learning_rate=10.0, replay=0.0),
        )
    )
    assert with_old > without


def test_an_interrupted_tuning_goes_on_with_the_same_bits(store, tmp_path, monkeypatch):
    trained = trained_run(store, recommender="hybrid", training={**SMALL["training"]})
    words, file = coming(trained), tmp_path / "checkpoint.pt"
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)

    class Killed(Exception):
        pass

    def kill(entry):
        if entry["epoch"] == 3:
            raise Killed

    with pytest.raises(Killed):
        fine_tune(trained, words, FAST, checkpoint=file, on_epoch=kill)
    seen = []
    resumed = fine_tune(
        trained, words, FAST, checkpoint=file, on_epoch=lambda entry: seen.append(entry["epoch"])
    )
    assert seen == [3, 4]
    assert equal(state(resumed), state(fine_tune(trained, words, FAST)))


def test_options_change_the_bits_and_the_id(store):
    trained = trained_run(store, recommender="bpr_mf")
    words = coming(trained)
    options = [FAST, *(FAST.model_copy(update=one) for one in ({"replay": 0.2}, {"epochs": 5}))]
    found = [fine_tune(trained, words, one) for one in options]
    assert len({one.record.id for one in found}) == 3
    assert not equal(state(found[0]), state(found[1]))
    other = fine_tune(trained, words.head(5), FAST)
    assert other.record.id not in {one.record.id for one in found}


@pytest.mark.parametrize("recommender", ["ease", "item_knn", "popularity"])
def test_what_trains_nothing_is_not_tuned(store, recommender):
    trained = trained_run(store, recommender=recommender)
    with pytest.raises(FusionlabError, match=r"found nothing to train.*retrain"):
        fine_tune(trained, coming(trained))


def test_clicks_that_are_known_teach_nothing(store):
    trained = trained_run(store)
    clicks, ids = trained.dataset.interactions, trained.dataset.item_ids.cast(pl.String)
    row = (clicks.user_ids[0], ids[int(clicks.train.items[0])], True)
    with pytest.raises(FusionlabError, match="no click that training did not have"):
        fine_tune(trained, pl.DataFrame([row], schema=SCHEMA, orient="row"))


def test_a_balancer_that_draws_clicks_is_not_replayed(store):
    trained = trained_run(store, balancer="balanced_resampling")
    with pytest.raises(FusionlabError, match="'balanced_resampling': draws the clicks"):
        fine_tune(trained, coming(trained))


def test_what_a_model_is_worth_leaves_out_what_was_spoken_of(store):
    """A held-out click ranks above all else once everything else was disliked."""
    trained = trained_run(store, recommender="popularity")
    clicks = trained.dataset.interactions
    held = coming(trained).head(1)
    user, item, _ = held.row(0)
    others = [str(one) for one in trained.dataset.item_ids if str(one) != item]
    words = pl.DataFrame([(user, one, False) for one in others], schema=SCHEMA, orient="row")
    assert clicks.n_items == 40
    assert worth(trained.task, trained.dataset, Told(words, held)) == 1.0
    assert worth(trained.task, trained.dataset, Told(words.head(0), held)) < 1.0


def test_what_a_model_is_worth_leaves_out_validation_clicks(store):
    """As before, but of what ranks above the held-out click the user has clicked some in
    validation."""
    trained = trained_run(store, recommender="popularity")
    clicks = trained.dataset.interactions
    user = int(clicks.valid.users[0])
    chosen = {*clicks.valid.items[: int(clicks.valid.counts[user])].tolist()}
    assert user == 0
    name, items = str(clicks.user_ids[user]), [str(one) for one in trained.dataset.item_ids]
    train = {*clicks.train.items[: int(clicks.train.indptr[1])].tolist()}
    held_row = next(row for row in range(40) if row not in train | chosen)
    held = pl.DataFrame([(name, items[held_row], True)], schema=SCHEMA, orient="row")
    others = [one for row, one in enumerate(items) if row not in {held_row, *chosen}]
    words = pl.DataFrame([(name, one, False) for one in others], schema=SCHEMA, orient="row")
    assert worth(trained.task, trained.dataset, Told(words, held)) == 1.0
    scores = trained.task.ranker()(torch.tensor([user]))[0]
    assert max(scores[row] for row in chosen) > scores[held_row]  # else nothing would be shown


def test_a_classifier_is_not_tuned(store):
    classes = {"name": "synthetic", "items": 60, "task": "classification"}
    trained = trained_run(store, task="classification", dataset=classes, evaluation={})
    with pytest.raises(FusionlabError, match="found a classifier, expected a run that recommends"):
        tunable(trained)
