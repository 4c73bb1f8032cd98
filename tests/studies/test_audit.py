"""The audit of a run: its figures by their definitions, and who may be told what."""

import pytest
import torch
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import top_k
from fusionlab.evaluation.shapley import shapley
from fusionlab.studies.audit import ModalityAudit, _coalitions, audit
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained
from fusionlab.studies.user_groups import _thirds
from fusionlab.studies.view_weights import mean_modality_weights, mean_view_weights
from fusionlab.training.items import catalogue_views

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


def test_the_sampling_error_is_the_spread_of_the_mean_over_other_orders():
    names = [f"m{i}" for i in range(8)]
    pairs = torch.randn(300, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    triples = 1 + torch.rand(300, generator=torch.Generator().manual_seed(2)).double()

    def value(coalition):
        on = torch.tensor([float(name in coalition) for name in names]).double()
        joint = torch.einsum("i,uij,j->u", on, pairs, on)
        return joint + triples * on[:3].prod() - 2 * triples * on[2:6].prod()

    found, _ = _coalitions(value, {name: ModalityAudit({}) for name in names})
    runs = [shapley(names, lambda some: value(some).mean(), seed=seed) for seed in range(1, 41)]
    for name in names[:6]:
        spread = float(torch.stack([run.values[name] for run in runs]).std())
        assert found[name].sampling_error == pytest.approx(spread, rel=0.5)


def test_retrained_without_what_a_balancer_names(store):
    balancer = {"name": "fixed_weights", "weight": {"text": 1, "image": 0.5}}
    inputs = {"shuffled": ["audio"]}
    short = {**SMALL["training"], "epochs": 1}
    told = audit(
        trained(store, balancer=balancer, inputs=inputs, training=short), store, retrain=True
    )
    assert all(one.retrained for one in told.modalities.values())


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


@pytest.mark.parametrize("recommender", ["hybrid", "lightgcn", "two_tower"])
def test_view_weights_are_those_of_the_lists(recommender, store):
    _, _, task = trained(store, fusion="user_gate", recommender=recommender)
    users = torch.arange(50)
    found = mean_view_weights(task, users, k=5)
    lists, _ = top_k(task.ranker(), task.train, users, 5)
    items = task.ranker().items
    with torch.no_grad():
        fused = catalogue_views(task.model.fusion, task.judged)
        query = task.model.user_views(users, fused)
        scores = torch.einsum("bkd,nkd->bnk", query, items.views)
        weights = task.model.fusion.view_weights(scores, query, items.present.expand(scores.shape))
    by_hand = torch.stack([weights[u, lists[u]].mean(0) for u in users]).mean(0)
    assert list(found.values()) == pytest.approx(by_hand.tolist(), abs=1e-6)
    assert list(found) == NAMES
    assert sum(found.values()) == pytest.approx(1)
    classes = trained(store, **CLASSES, fusion="mean_scores").task
    assert mean_view_weights(classes, torch.arange(9)) == pytest.approx(dict.fromkeys(NAMES, 1 / 3))
    assert mean_view_weights(trained(store).task, users) == {}


@pytest.mark.parametrize("fusion", ["gated", "attention_pooling"])
def test_modality_weights_are_those_of_the_lists(store, fusion):
    shop = {**SMALL["dataset"], "missing": 0.3}
    _, _, task = trained(store, fusion=fusion, dataset=shop, inputs={"imputer": "mean"})
    users = torch.arange(50)
    found = mean_modality_weights(task, users, k=5)
    lists, _ = top_k(task.ranker(), task.train, users, 5)
    own = task.model.fusion
    with torch.no_grad():
        by_item = own.modality_weights(own.imputer(task.judged))
    by_hand = torch.stack([by_item[lists[u]].mean(0) for u in users]).mean(0)
    assert list(found.values()) == pytest.approx(by_hand.tolist(), abs=1e-6)
    assert len(set(found.values())) == 3
    assert mean_modality_weights(trained(store).task, users) == {}


def test_groups_are_audited_as_everybody_is(store, tmp_path):
    found = trained(store)
    ids = [str(one) for one in found.dataset.interactions.user_ids]
    file = tmp_path / "groups.csv"
    halves = "".join(f"{one},{'even' if row % 2 == 0 else 'odd'}\n" for row, one in enumerate(ids))
    file.write_text("user,group\n" + halves)
    told = audit(found, store, groups=str(file))
    assert set(told.groups) == {"even", "odd"}
    assert sum(group.units for group in told.groups.values()) == told.units
    users = torch.arange(0, len(ids), 2)
    valid = found.dataset.interactions.valid.only(users)
    even = told.groups["even"]
    assert even.whole.mean == pytest.approx(found.task.judge({"": valid})[""].means()[told.metric])
    without = found.task.judge({"": valid}, {"text"})[""].means()[told.metric]
    assert even.modalities["text"].masked.mean == pytest.approx(even.whole.mean - without)
    for name, one in told.modalities.items():
        mean = sum(g.modalities[name].shapley.mean * g.units for g in told.groups.values())
        assert one.shapley.mean == pytest.approx(mean / told.units)


def test_activity_is_in_thirds_and_ties_stay_together():
    counts = torch.tensor([1, 1, 2, 3, 3, 3, 3, 8, 9])
    found = _thirds(counts)
    assert [rows.tolist() for rows in found.values()] == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert list(found) == ["few clicks (1 to 2)", "some clicks (3 to 3)", "many clicks (8 to 9)"]
    assert [len(rows) for rows in _thirds(torch.full((5,), 4)).values()] == [5]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("who,group\n", "expected user and group"), ("user,group\nnobody,a\n", "user 'nobody'")],
)
def test_wrong_groups_are_refused(store, tmp_path, text, problem):
    file = tmp_path / "groups.csv"
    file.write_text(text)
    with pytest.raises(FusionlabError, match=problem):
        audit(trained(store), store, groups=str(file))
    for name in ("activty", "x" * 300):
        with pytest.raises(FusionlabError, match="expected 'activity' or a CSV file"):
            audit(trained(store), store, groups=name)


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
    gated = trained(store, fusion="gated").record.id
    by_group = ["audit", gated, "--runs", str(store.root), "--groups", "activity"]
    result = CliRunner().invoke(main, [*by_group, "--json", "g.json"], catch_exceptions=False)
    for word in ("Shapley value, by group of users", "loss where masked, by group", "few clicks"):
        assert word in result.output
    assert "the strategy's own weights" in result.output
    assert "few clicks" in (tmp_path / "g.json").read_text()
    wrong = CliRunner().invoke(main, [*asked, "--metric", "ndgc@5"])
    assert wrong.exit_code == 1
    assert "did you mean 'ndcg@5'" in wrong.output


def test_what_has_no_modality_is_refused(store):
    with pytest.raises(FusionlabError, match="'bpr_mf' reads no item features"):
        audit(trained(store, recommender="bpr_mf"), store)


def test_items_with_classes_have_no_groups_of_users(store):
    with pytest.raises(FusionlabError, match="--groups: found items with classes, expected a run"):
        audit(trained(store, **CLASSES), store, groups="activity")
