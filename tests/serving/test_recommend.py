"""Lists of a finished run: those of its model, for its users, with feedback, and for strangers."""

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from small_runs import CLASSES, RENDERED, trained_run

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import top_k
from fusionlab.serving.contributions import contributions
from fusionlab.serving.events import Event
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.new_items import NewItem, described_by
from fusionlab.serving.people import as_clicks
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.studies.store import RunStore

RECOMMENDERS = {
    "content": {"fusion": "gated"},
    "hybrid": {"recommender": "hybrid", "fusion": "user_gate"},
    "bpr_mf": {"recommender": "bpr_mf"},
    "lightgcn_id": {"recommender": "lightgcn_id"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


def items_of(clicks, row):
    return clicks.items[clicks.indptr[row] : clicks.indptr[row + 1]].tolist()


def expected(trained, user, k):
    """By the model's own ranker, without what the user clicked in train and validation."""
    clicks = trained.dataset.interactions
    seen = [{*items_of(clicks.train, u), *items_of(clicks.valid, u)} for u in range(60)]
    exclude = as_clicks([sorted(one) for one in seen], 40)
    items, scores = top_k(trained.task.ranker(), exclude, torch.tensor([user]), k)
    return [f"i{item}" for item in items[0].tolist()], scores[0].tolist()


@pytest.mark.parametrize("changes", RECOMMENDERS.values(), ids=RECOMMENDERS)
def test_lists_are_those_of_the_run(changes, store):
    trained = trained_run(store, **changes)
    for user, found in enumerate(Service(trained).recommend(["u0", "u1", "u2"], 7)):
        ids, scores = expected(trained, user, 7)
        assert [one.item for one in found.items] == ids
        assert [one.score for one in found.items] == pytest.approx(scores, abs=1e-5)


def test_a_list_is_no_longer_than_what_is_left(store):
    found = Service(trained_run(store)).recommend(["u0"], 10**15)[0]
    clicks = trained_run(store).dataset.interactions
    assert len(found.items) == 40 - len(items_of(clicks.train, 0)) - len(items_of(clicks.valid, 0))


@pytest.mark.parametrize("name", ["content", "hybrid"])
def test_explanations_are_what_masking_loses_and_the_own_weights(name, store):
    changes = {**RECOMMENDERS[name], "training": {"epochs": 1, "modality_dropout": 0.3}}
    trained = trained_run(store, **changes)
    found = Service(trained).recommend(["u3"], 5, explain=True)[0]
    lists = torch.tensor([[int(one.item[1:]) for one in found.items]])
    lost = contributions(trained.task.model, trained.task.judged, torch.tensor([3]), lists)
    for place, one in enumerate(found.items):
        told = {name: float(x[0, place]) for name, x in lost.items()}
        assert one.contributions == pytest.approx(told, abs=1e-5)
        if name == "hybrid":
            assert sum(one.view_weights.values()) == pytest.approx(1, abs=1e-5)
    assert found.coalition_training == "dropout"


def test_contributions_are_hidden_where_coalitions_were_not_trained(store):
    service = Service(trained_run(store))
    found = service.recommend(["u3"], 5, explain=True)[0]
    assert found.hidden
    assert not found.items[0].contributions
    told = service.recommend(["u3"], 5, explain=True, untrained_coalitions=True)[0]
    assert not told.hidden
    assert set(told.items[0].contributions) == {"text", "image", "audio"}


BY_HISTORY = {
    "content": {},
    "two_tower": {"recommender": "two_tower", "fusion": "mean_scores"},
    "sequential": {"recommender": "sequential"},
    "sequential with IDs": {"recommender": {"name": "sequential", "item_ids": True}},
    "content_knn": {"recommender": "content_knn"},
    "item_knn": {"recommender": "item_knn"},
    "ease": {"recommender": "ease"},
}


@pytest.mark.parametrize("changes", BY_HISTORY.values(), ids=BY_HISTORY)
def test_a_stranger_who_likes_what_a_user_clicked_has_the_same_scores(changes, store):
    trained = trained_run(store, **changes)
    liked = [f"i{item}" for item in items_of(trained.dataset.interactions.train, 4)]
    found = Service(trained).recommend_stranger(40, liked=liked)
    scores = trained.task.ranker()(torch.tensor([4]))[0]
    for one in found.items:
        assert one.score == pytest.approx(float(scores[int(one.item[1:])]), abs=1e-5)
    assert not {one.item for one in found.items} & {*liked}


@pytest.mark.parametrize("name", ["content", "two_tower", "sequential"])
def test_to_describe_an_item_is_as_good_as_to_like_it(name, store):
    trained = trained_run(store, **BY_HISTORY[name])
    vectors = {name: x[7] for name, x in trained.dataset.features.values.items()}
    service = Service(trained)
    by_id = service.recommend_stranger(40, liked=["i3", "i7"])
    told = service.recommend_stranger(40, liked=["i3"], described=NewItem("x", vectors=vectors))
    scores = {one.item: one.score for one in told.items}
    assert {one.item: scores[one.item] for one in by_id.items} == pytest.approx(
        {one.item: one.score for one in by_id.items}, abs=1e-5
    )
    assert "x" not in scores


def test_an_item_without_id_factors_is_left_out_of_the_sequence_of_ids(store):
    trained = trained_run(store, **BY_HISTORY["sequential with IDs"])
    service, vectors = Service(trained), {"text": trained.dataset.features.values["text"][7]}
    told = service.recommend_stranger(40, liked=["i3"], described=NewItem("x", vectors=vectors))
    of_ids = trained.task.model.of_people(as_clicks([[3], [3, 40]], 41)).user_factors
    alone, beside = of_ids(torch.tensor([0, 1]))
    torch.testing.assert_close(alone, beside)
    assert len(told.items) == 39


def test_who_cannot_serve_strangers_says_who_can(store):
    ids = {"recommender": {"name": "two_tower", "item_ids": True}}
    with pytest.raises(FusionlabError, match=r"'two_tower' knows.*two_tower \(without item_ids\)"):
        Service(trained_run(store, **ids)).recommend_stranger(liked=["i1"])
    with pytest.raises(FusionlabError, match=r"'hybrid' knows users by .*histories: .*content"):
        Service(trained_run(store, **RECOMMENDERS["hybrid"])).recommend_stranger(liked=["i1"])
    with pytest.raises(FusionlabError, match="nothing liked and nothing described"):
        Service(trained_run(store)).recommend_stranger()
    with pytest.raises(FusionlabError, match="liked: found 'i99'"):
        Service(trained_run(store)).recommend_stranger(liked=["i99"])
    with pytest.raises(FusionlabError, match="user: found 'u99', expected one of 60 ids"):
        Service(trained_run(store)).recommend(["u99"])


@pytest.mark.parametrize("name", ["content", "sequential", "item_knn", "content_knn"])
def test_feedback_moves_the_next_list(name, store, tmp_path):
    trained = trained_run(store, **BY_HISTORY[name])
    train = [f"i{item}" for item in items_of(trained.dataset.interactions.train, 0)]
    with FeedbackLog(tmp_path / "log.sqlite") as log:
        service = Service(trained, log=log)
        first = [one.item for one in service.recommend(["u0"], 3)[0].items]
        log.add(Event("impression", "u0", first[2]))
        assert [one.item for one in service.recommend(["u0"], 3)[0].items] == first
        log.add(Event("click", "u0", first[0]), Event("dislike", "u0", train[0]))
        log.add(Event("dislike", "u0", first[1]), Event("click", "u1", first[2]))
        found = {one.item: one.score for one in service.recommend(["u0"], 40)[0].items}
        assert not {*first[:2]} & {*found}
        history = [*train[1:], first[0]]
        same = service.recommend_stranger(40, liked=history).items
        scores = {one.item: one.score for one in same}
        assert found == pytest.approx({item: scores[item] for item in found}, abs=1e-5)


def test_learned_vectors_stay_and_it_is_said(store, tmp_path):
    trained = trained_run(store, **RECOMMENDERS["hybrid"])
    with FeedbackLog(tmp_path / "log.sqlite") as log:
        service = Service(trained, log=log)
        first = service.recommend(["u0"], 40)[0].items
        log.add(Event("click", "u0", first[0].item))
        found = service.recommend(["u0"], 40)[0]
    assert found.items == first[1:]
    assert "moves nothing else" in found.notes[0]


def test_likes_count_and_what_is_taken_back_does_not(store, tmp_path):
    with FeedbackLog(tmp_path / "log.sqlite") as log:
        service = Service(trained_run(store), log=log)
        first = service.recommend(["u0"], 40)[0].items
        log.add(Event("like", "u0", first[0].item))
        liked = service.recommend(["u0"], 40)[0].items
        log.add(Event("undo", "u0", first[0].item), Event("click", "u0", first[0].item))
        assert service.recommend(["u0"], 40)[0].items == liked
        log.add(Event("undo", "u0", first[0].item))
        assert service.recommend(["u0"], 40)[0].items == first


@pytest.mark.parametrize("kept", [0, 4])
def test_modalities_are_left_out_of_the_whole_catalogue(kept, store):
    trained = trained_run(store, fusion="mean_scores")
    service = Service(trained, kept=kept)
    (found,) = service.recommend(
        ["u0"], 5, explain=True, untrained_coalitions=True, without=["image"]
    )
    scores = trained.task.ranker({"image"})(torch.tensor([0]))[0].clone()
    less = trained.task.ranker({"image", "text"})(torch.tensor([0]))[0]
    for one in found.items:
        row = int(one.item[1:])
        assert one.score == pytest.approx(float(scores[row]), abs=1e-5)
        assert one.contributions.keys() == {"text", "audio"}
        lost = float(scores[row] - less[row])
        assert one.contributions["text"] == pytest.approx(lost, abs=1e-5)
        assert one.view_weights["image"] == 0
    again = service.recommend(["u0"], 5, without=["image"])[0]
    assert [one.item for one in again.items] == [one.item for one in found.items]


# The command line


def run(store, *arguments, fails=False):
    done = CliRunner().invoke(main, [*arguments, "--runs", str(store.root)])
    assert bool(done.exit_code) == fails, done.output
    return done.output


def test_the_commands_work_together(store, tmp_path):
    trained = trained_run(store, fusion="sum")
    prefix, file = trained.record.id[:12], tmp_path / "list.json"
    shown = run(store, "recommend", prefix, "--user", "u2", "--k", "3", "--json", str(file))
    told = json.loads(file.read_text())
    assert [one["item"] for one in told["items"]] == expected(trained, 2, 3)[0]
    assert all(one["item"] in shown for one in told["items"])
    best = told["items"][0]["item"]

    def feedback(*arguments, fails=False):
        return run(store, "feedback", prefix, *arguments, fails=fails)

    event = ("add", "--user", "u2", "--kind", "click", "--context", '{"page": 1}', "--item")
    assert "did you mean 'i39'" in feedback(*event, "i399", fails=True)
    feedback(*event, best)
    assert best in feedback("list", "--user", "u2")
    assert best not in run(store, "recommend", prefix, "--user", "u2", "--k", "3").split()
    assert "forgot 1 events" in run(store, "forget", prefix, "u2")
    assert "did you mean 'u2" in run(store, "forget", prefix, "u222", fails=True)
    assert best in run(store, "recommend", prefix, "--user", "u2", "--k", "3").split()
    assert "expected either --user" in run(store, "recommend", prefix, fails=True)


def test_a_stranger_likes_items_on_the_command_line(store):
    trained = trained_run(store, **BY_HISTORY["ease"])
    shown = run(store, "recommend", trained.record.id[:12], "--liked", "i3", "--liked", "i8")
    same = Service(trained).recommend_stranger(liked=["i3", "i8"])
    words = [word for word in shown.split() if word[0] == "i" and word[1:].isdigit()]
    assert words == [one.item for one in same.items]


def test_a_stranger_describes_with_media(store, tmp_path):
    trained = trained_run(store, **RENDERED)
    media = {name: one.entries[7] for name, one in trained.dataset.media.items()}
    image = tmp_path / "a.png"
    image.write_bytes(media["image"])
    prefix = trained.record.id[:12]
    shown = run(store, "recommend", prefix, "--text", media["text"], "--image", str(image))
    vectors = {name: trained.dataset.features.values[name][7] for name in ("text", "image")}
    same = Service(trained).recommend_stranger(described=NewItem("x", vectors=vectors))
    assert [word for word in shown.split() if word[0] == "i" and word[1:].isdigit()] == [
        one.item for one in same.items
    ]
    assert all(one.title in trained.dataset.media["text"].entries for one in same.items)
    broken = tmp_path / "b.png"
    broken.write_bytes(b"no picture")
    assert f"image: {broken}: no image" in run(
        store, "recommend", prefix, "--image", str(broken), fails=True
    )


def test_a_medium_that_the_run_does_not_encode_is_told(store):
    trained = trained_run(store, **RENDERED)
    config = {**trained.record.config, "encoders": {"text": RENDERED["encoders"]["text"]}}
    trained = trained._replace(record=replace(trained.record, config=config))
    message = "--image: run .* encodes no image: found 'image', expected one of: text"
    with pytest.raises(FusionlabError, match=message):
        described_by({"image": b"a picture"}, trained)


def test_a_run_that_cannot_answer_says_which_can(store):
    classifier = trained_run(store, **CLASSES)
    for served in (Service, lambda _: open_feedback(classifier.record.id, store)):
        with pytest.raises(FusionlabError, match="found a classifier, expected a run that recomm"):
            served(classifier)
    service = Service(trained_run(store, recommender="bpr_mf"))
    with pytest.raises(FusionlabError, match="k: found 0, expected at least 1"):
        service.recommend(["u0"], 0)
    with pytest.raises(FusionlabError, match="'bpr_mf' fuses no modalities, so none has"):
        service.recommend(["u0"], explain=True)
