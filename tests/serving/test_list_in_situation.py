"""Lists in a situation: its weights in the scores and in what is told of them."""

import json

import pytest
import torch
from click.testing import CliRunner
from small_runs import SMALL, trained_run

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.serving.recommend import Service
from fusionlab.studies.store import RunStore

WORLD = {
    "dataset": {**SMALL["dataset"], "situations": 3},
    "training": {**SMALL["training"], "epochs": 6, "learning_rate": 0.05},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
def test_a_list_is_ranked_and_weighed_in_its_situation(recommender, store):
    trained = trained_run(store, recommender=recommender, fusion="user_gate", **WORLD)
    service, model, ranker = Service(trained), trained.task.model, trained.task.ranker()
    users = torch.tensor([7])
    weights = []
    for code in range(3):
        (found,) = service.recommend(
            ["u7"], 5, context={"situation": str(code)}, explain=True, untrained_coalitions=True
        )
        scores = ranker.situated(users, torch.tensor([[code]]))[0].clone()
        query, _ = ranker.queries(users)
        by_view = torch.einsum("bkd,nkd->bnk", query, ranker.items.views)
        asking = model.asking(query, torch.tensor([[code]]))
        own = model.fusion.view_weights(by_view, asking, torch.ones_like(by_view).bool())[0]
        for one in found.items:
            row = int(one.item[1:])
            assert one.score == pytest.approx(float(scores[row]), abs=1e-5)
            assert [*one.view_weights.values()] == pytest.approx(own[row].tolist(), abs=1e-5)
        assert found.context == {"situation": str(code)}
        assert found.notes == []
        weights.append(own[0])
    assert not torch.allclose(weights[0], weights[1], atol=1e-3)


def test_what_is_not_given_or_not_known_is_unknown_and_said(store):
    service = Service(trained_run(store, fusion="user_gate", **WORLD))
    (none,) = service.recommend(["u7"], 5)
    (other,) = service.recommend(["u7"], 5, context={"situation": "99"})
    assert none.items == other.items
    assert none.notes == ["context situation not given: taken as unknown"]
    assert other.notes == ["context situation=99: no train click has it, so it is taken as unknown"]


def test_a_stranger_is_in_a_situation_too(store):
    trained = trained_run(store, fusion="user_gate", **WORLD)
    clicks = trained.dataset.interactions.train
    liked = [f"i{item}" for item in clicks.items[clicks.users == 4].tolist()]
    context = {"situation": "2"}
    found = Service(trained).recommend_stranger(5, liked=liked, context=context)
    scores = trained.task.ranker().situated(torch.tensor([4]), torch.tensor([[2]]))[0]
    for one in found.items:
        assert one.score == pytest.approx(float(scores[int(one.item[1:])]), abs=1e-5)


def test_runs_that_cannot_adapt_refuse(store):
    adaptive = Service(trained_run(store, fusion="user_gate", **WORLD))
    with pytest.raises(FusionlabError, match=r"context: found 'situatoin'.*did you mean"):
        adaptive.recommend(["u7"], context={"situatoin": "1"})
    alike = Service(trained_run(store, fusion="sum", **WORLD))
    with pytest.raises(FusionlabError, match=r"alike in every situation; .*user_gate"):
        alike.recommend(["u7"], context={"situation": "1"})
    assert alike.recommend(["u7"], 3)[0].notes == []
    untold = Service(trained_run(store, fusion="user_gate"))
    with pytest.raises(FusionlabError, match="this run is told of no context"):
        untold.recommend(["u7"], context={"situation": "1"})


def test_the_command_shows_the_situation_and_the_weights_under_it(store, tmp_path):
    run = trained_run(store, fusion="user_gate", **WORLD).record.id
    base = ["recommend", run[:12], "--user", "u7", "--k", "3", "--runs", str(store.root)]
    file = tmp_path / "list.json"
    asked = [*base, "--explain", "--context", "situation=1", "--json", str(file)]
    found = CliRunner().invoke(main, asked)
    assert found.exit_code == 0, found.output
    assert "for user u7, situation=1" in found.output
    told = json.loads(file.read_text())
    assert told["context"] == {"situation": "1"}
    assert sum(told["items"][0]["view_weights"].values()) == pytest.approx(1, abs=1e-5)
    wrong = CliRunner().invoke(main, [*base, "--context", "situation"])
    assert wrong.exit_code == 2
    assert "expected NAME=VALUE" in wrong.output
