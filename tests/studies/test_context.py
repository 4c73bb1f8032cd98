"""Strategies that adapt to the situation gain by it where it is known to matter."""

import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.errors import ConfigError
from fusionlab.evaluation.ranking import top_k
from fusionlab.evaluation.significance import compare, over_seeds
from fusionlab.seal import Openings
from fusionlab.studies.fine_tuning import FineTuning, Told, fine_tune, worth
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

SEEDS = (0, 1, 2)
WORLD = {
    "dataset": {
        "name": "synthetic",
        "users": 200,
        "items": 160,
        "clicks": 30,
        "situations": 3,
        "alphabet": 8,
        "redundancy": 0,
        "uniqueness": 2.0,
        "synergy": 0,
    },
    "dim": 16,
    "training": {"epochs": 12, "batch_size": 256, "learning_rate": 0.01, "signals_every": 0},
    "evaluation": {"metrics": ["ndcg"], "cutoffs": [20]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


def run(store, **changes):
    return run_experiment(experiment_from({**WORLD, **changes}), store)


def per_user(store, record):
    """NDCG@20 on test, a row a user."""
    frame = pl.read_parquet(store.root / record.id / "per_user.parquet")
    return frame.filter(frame["split"] == "test").sort("user")["ndcg@20"].to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["user_gate", "mixture_of_experts"])
def test_context_helps_those_who_adapt(fusion, store):
    told, untold = (
        [run(store, fusion=fusion, seed=seed, inputs={"context": c}) for seed in SEEDS]
        for c in (None, [])
    )
    means = [[one.metrics["test"]["ndcg@20"] for one in rows] for rows in (told, untold)]
    assert min(means[0]) > 1.2 * max(means[1]), means
    values = [over_seeds([per_user(store, one) for one in rows]) for rows in (told, untold)]
    (found,) = compare(values[1], {"told": values[0]})
    assert found.difference > 0
    assert found.p < 0.001


def test_the_gate_turns_to_the_modality_that_counts(store):
    """In each situation, and for most users, it weighs that modality more than any other does."""
    trained = load_trained(run(store, fusion="user_gate").id, store)
    model, ranker = trained.task.model, trained.task.ranker()
    users, n = torch.arange(200), 200
    query, _ = ranker.queries(users)
    by_view = torch.einsum("bkd,nkd->bnk", query, ranker.items.views)
    present = ranker.items.present.expand(by_view.shape)
    weights = []
    for situation in range(3):
        asking = model.asking(query, torch.full((n, 1), situation))
        weights.append(model.fusion.view_weights(by_view, asking, present).mean(1))
    weights = torch.stack(weights)  # situation, user, modality
    for situation in range(3):
        counts = weights[:, :, situation]
        others = counts[torch.arange(3) != situation].max(0).values
        assert weights[situation].mean(0).argmax() == situation
        assert (counts[situation] > others).double().mean() > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_an_update_learns_when_its_clicks_were_made(seed, store):
    """Later clicks, in their situations, are served far better if told the right ones."""
    split = {"name": "ratio", "valid": 0.1, "test": 0.5}
    dataset = {**WORLD["dataset"], "seed": seed, "split": split}
    trained = load_trained(run(store, fusion="user_gate", dataset=dataset, seed=seed).id, store)
    clicks = trained.dataset.interactions
    coming = clicks.test.open(Openings(), "feedback to come")
    frame = pl.DataFrame(
        {
            "user": [clicks.user_ids[row] for row in coming.users.tolist()],
            "item": [f"i{row}" for row in coming.items.tolist()],
            "liked": True,
            "context situation": [str(code) for (code,) in coming.context.tolist()],
        }
    )
    held = pl.Series(range(len(frame))) % 5 == 0
    words, later = frame.filter(~held), frame.filter(held)
    code = pl.col("context situation").cast(pl.Int64)
    wrong = words.with_columns(((code + 1) % 3).cast(pl.String).alias("context situation"))
    tuning = FineTuning(epochs=3, learning_rate=1.0)
    right, mistaken = (
        worth(fine_tune(trained, said, tuning).task, trained.dataset, Told(words, later))
        for said in (words, wrong)
    )
    assert right > mistaken + 0.03


def test_an_oracle_that_is_told_the_situation_ranks_better(store):
    told, untold = (
        run(store, recommender="oracle", inputs={"context": c}).metrics["test"]["ndcg@20"]
        for c in (None, [])
    )
    assert told > 1.5 * untold


def test_the_record_says_what_context_there_is_and_who_does_not_use_it(store):
    short = {"training": {"epochs": 1}}
    plain, adaptive = (run(store, fusion=name, **short) for name in ("sum", "user_gate"))
    assert plain.dataset["context"] == {"situation": 3}
    assert [w for w in plain.warnings if w.startswith("context")] == [
        "context situation is not used: fusion 'sum' weighs its views alike for everyone; "
        "those that do not: mixture_of_experts, user_gate"
    ]
    off = run(store, fusion="sum", inputs={"context": []}, **short)
    for record in (adaptive, off, run(store, recommender="popularity")):
        assert not [w for w in record.warnings if w.startswith("context")]
    assert off.metrics == plain.metrics


def test_a_run_without_context_is_the_run_it_was(store):
    """The catalogue is the same, and lists are judged once a user."""
    dataset = {**WORLD["dataset"], "situations": 1}
    record = run(store, dataset=dataset, fusion="user_gate", training={"epochs": 1})
    assert "context" not in record.dataset
    trained = load_trained(record.id, store)
    assert trained.task.model.situation is None
    valid = trained.dataset.interactions.valid
    lists, _ = top_k(trained.task.ranker(), trained.task.train, torch.arange(200), 20)
    hits = [
        len({*lists[u].tolist()} & {*valid.items[valid.users == u].tolist()}) > 0
        for u in range(200)
    ]
    again = trained.task.judge({"": valid})[""].per_unit["ndcg@20"]
    assert (again > 0).tolist() == hits


def test_columns_that_the_dataset_does_not_have_are_refused(store):
    with pytest.raises(ConfigError, match=r"inputs.context.*found 'situatoin'.*did you mean"):
        run(store, inputs={"context": ["situatoin"]})
    with pytest.raises(ConfigError, match=r"inputs.context.*found 'hour', expected nothing"):
        run(store, dataset={**WORLD["dataset"], "situations": 1}, inputs={"context": ["hour"]})
