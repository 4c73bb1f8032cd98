"""An item that somebody brings is held against the catalogue and the users."""

import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.explorer.your_item import look_up, your_item_html
from fusionlab.serving.new_items import NewItem
from fusionlab.serving.recommend import Service
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained


@pytest.mark.parametrize("label", ["concat", "mean_scores"])
def test_a_copy_of_an_item_is_its_neighbour_and_takes_its_place(label, explorer):
    shop, row = explorer.catalogue(0), 11
    media = {name: shop.media[name].entries[row] for name in ("text", "image", "audio")}
    with explorer.service(0, label) as service:
        found = look_up(service, media)
        users = service.scoring.task.train.users.new_tensor(range(60))
        scores = service.scoring.ranker(users).clone()
    assert found.neighbours[0] == (row, pytest.approx(1.0, abs=1e-4))
    assert found.judged == 60
    # it stands beside its original: the place is that of the original, but for rounding
    places = 1 + (scores > scores[:, row : row + 1] + 1e-5).sum(1)
    for user, place in found.fans:
        assert abs(place - int(places[int(user[1:])])) <= 1
    assert [place for _, place in found.fans] == sorted(place for _, place in found.fans)
    assert found.fans[0][1] == pytest.approx(int(places.min()), abs=1)


@pytest.mark.parametrize("recommender", ["two_tower", "lightgcn"])
def test_where_items_are_transformed_it_takes_the_place_of_a_new_item(recommender, tmp_path):
    experiment = experiment_from(
        {
            "dataset": {
                "name": "synthetic",
                "users": 60,
                "items": 40,
                "clicks": 12,
                "features": "rendered",
            },
            "encoders": {
                "text": {"of": "text", "encoder": {"name": "tfidf", "width": 8, "min_items": 1}},
                "image": {"of": "image", "encoder": {"name": "pixels", "side": 4}},
            },
            "recommender": recommender,
            "dim": 8,
            "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
            "evaluation": {"cutoffs": [5]},
        }
    )
    store = RunStore(tmp_path)
    trained = load_trained(run_experiment(experiment, store).id, store)
    stored = trained.dataset.media
    media = {name: stored[name].entries[11] for name in ("text", "image")}
    found = look_up(Service(trained), media)
    assert found.neighbours[0] == (11, pytest.approx(1.0, abs=1e-4))
    ranker = Service(trained, [NewItem("n", media)]).scoring.ranker
    scores = ranker(torch.arange(60))
    places = 1 + (scores[:, :-1] > scores[:, -1:]).sum(1)
    assert found.fans
    for user, place in found.fans:
        assert place == int(places[int(user[1:])])


@pytest.mark.parametrize(
    ("media", "message"),
    [
        ({}, "found nothing, expected a text"),
        ({"image": b"no picture"}, "no image, or its header is damaged"),
        ({"audio": b"RIFF"}, "audio"),
    ],
)
def test_what_cannot_be_read_is_said(media, message, explorer):
    alike, fans = your_item_html(explorer, 0, "concat", media)
    assert 'role="alert"' in alike
    assert message in alike
    assert fans == ""


def test_a_model_without_content_says_so(explorer):
    with (
        explorer.service(0, "popularity") as service,
        pytest.raises(FusionlabError, match=r"cannot rank items added after training"),
    ):
        look_up(service, {"text": "a lamp"})


def test_features_without_a_fusion_are_refused(tmp_path):
    sizes = {"users": 60, "items": 40, "clicks": 12}
    experiment = experiment_from(
        {
            "dataset": {"name": "synthetic", "features": "rendered", **sizes},
            "encoders": {"text": {"of": "text", "encoder": {"name": "tfidf", "min_items": 1}}},
            "recommender": "content_knn",
        }
    )
    store = RunStore(tmp_path)
    service = Service(load_trained(run_experiment(experiment, store).id, store))
    with pytest.raises(FusionlabError, match="'content_knn' fuses no items; expected one"):
        look_up(service, {"text": "a lamp"})


def test_a_text_of_which_nothing_is_known_is_said(explorer):
    alike, _ = your_item_html(explorer, 0, "concat", {"text": "xyzzy"})
    assert "text: the encoder of" in alike
    assert "knows no word of it" in alike
