"""One run: identity, determinism, the ledger, and what the record holds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import fusionlab
from fusionlab.config import load_study
from fusionlab.data.sealed import SUMS
from fusionlab.errors import FusionlabError
from fusionlab.studies import identity
from fusionlab.studies.build import build_task
from fusionlab.studies.checks import check
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.identity import run_id
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore


@pytest.fixture
def experiment(study_file):
    return load_study(study_file).experiment


def test_same_configuration_gives_the_same_bits(experiment, tmp_path):
    first, second = (
        run_experiment(experiment, RunStore(tmp_path / name)) for name in ("first", "second")
    )
    assert first.id == second.id
    assert first.metrics == second.metrics
    assert first.per_user().equals(second.per_user())
    assert first.folder != second.folder


def test_the_record_holds_what_it_must(experiment, tmp_path):
    record = run_experiment(
        experiment.varied({"training.modality_dropout": 0.2}), RunStore(tmp_path)
    )
    assert [entry["what"] for entry in record.test_opened] == ["test interactions"]
    assert record.coalition_training == "dropout"
    assert record.config["fusion"] == {"name": "concat", "hidden": None}
    assert record.cost.parameters == 3 * 8 * 16 + 8
    assert record.cost.epochs == len(record.history) == 3
    assert record.cost.peak_memory_mb > 1
    assert set(record.truth["gain"]) >= {"redundant", "synergy"}
    users = record.per_user().filter(pl.col("split") == "test")
    mean = users["ndcg@5"].mean()
    assert mean == pytest.approx(record.metrics["test"]["ndcg@5"], abs=1e-12)
    assert users["user"].to_list()[0].startswith("u")


def test_the_gains_of_the_atoms_are_those_of_the_model(experiment, tmp_path):
    """One who knows the answer gains all of it, one who knows nothing next to nothing, and a
    trained model what its own scores say."""

    def gains(**changes):
        truth = run_experiment(experiment.varied(changes), RunStore(tmp_path)).truth
        return {atom: truth["gain"][atom] / truth["oracle_gain"][atom] for atom in truth["gain"]}

    assert gains(recommender="oracle") == pytest.approx(dict.fromkeys(gains(), 1.0))
    assert all(abs(gain) < 0.4 for gain in gains(recommender="random").values())
    ignorant = gains(recommender={"name": "oracle", "observes": ["text"]})
    assert abs(ignorant["synergy"]) < 0.3
    assert ignorant["unique_text"] > 1


def test_the_gains_of_a_classifier_are_its_accuracy_above_chance(experiment, tmp_path):
    changes = {
        "task": "classification",
        "dataset": {"name": "synthetic", "items": 400, "task": "classification", "classes": 2},
    }
    record = run_experiment(experiment.varied(changes), RunStore(tmp_path))
    accuracy = record.metrics["test"]["accuracy"]
    assert 0.55 < accuracy < 0.999
    assert sum(record.truth["gain"].values()) == pytest.approx(accuracy - 0.5)
    assert sum(record.truth["oracle_gain"].values()) == pytest.approx(0.5)


def test_identity_follows_content(experiment):
    fingerprint = load_dataset(experiment).fingerprint
    base = run_id(experiment, fingerprint)
    changes = (
        {"seed": 1},
        {"runtime.threads": 2},
        {"runtime.precision": "bf16"},
        {"fusion": "sum"},
        {"inputs.modalities": ["text"]},
        {"evaluation.cutoffs": [5, 10]},
    )
    ids = {run_id(experiment.varied(change), fingerprint) for change in changes}
    assert len(ids | {base}) == len(changes) + 1
    assert run_id(experiment, "another dataset") != base
    assert run_id(experiment.varied({"dataset.noise": 0.3}), fingerprint) == base


def test_identity_follows_the_code(experiment, monkeypatch, tmp_path):
    fingerprint = load_dataset(experiment).fingerprint
    base = run_id(experiment, fingerprint)
    package = tmp_path / "fusionlab"
    shutil.copytree(Path(fusionlab.__file__).parent, package)
    strategy = package / "fusion" / "feature_level" / "sum.py"
    ids = {}
    for edit, file in (("none", None), ("strategy", strategy), ("cli", package / "cli.py")):
        if file is not None:
            file.write_text(file.read_text() + "\n# edited\n")
        monkeypatch.setattr(fusionlab, "__file__", str(package / "__init__.py"))
        identity.own_source.cache_clear()
        ids[edit] = run_id(experiment, fingerprint)
    identity.own_source.cache_clear()
    assert ids["none"] == base
    assert ids["strategy"] != base
    assert ids["cli"] == ids["strategy"]


def test_a_finished_run_is_not_run_again(experiment, tmp_path):
    store = RunStore(tmp_path)
    run_experiment(experiment, store)
    epochs = []
    again = run_experiment(experiment, store, on_epoch=epochs.append)
    assert epochs == []
    assert again.id in store


def test_a_busy_run_is_left_to_its_owner(experiment, tmp_path):
    store = RunStore(tmp_path)
    run = run_id(experiment, load_dataset(experiment).fingerprint)
    with store.lock(run):
        assert run_experiment(experiment, RunStore(tmp_path), patient=False) is None
    assert run not in store


def test_classification_runs_on_the_same_atoms(experiment, tmp_path):
    changes = {"task": "classification", "dataset.task": "classification", "dataset.items": 300}
    record = run_experiment(experiment.varied(changes), RunStore(tmp_path))
    assert 0.25 < record.metrics["test"]["accuracy"] <= 1
    assert {"macro_f1", "weighted_recall"} <= record.metrics["test"].keys()
    assert record.test_opened[0]["what"] == "test labels"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "classification"}, "task: found 'classification', but dataset"),
        ({"dataset.task": "classification"}, "task: found 'recommendation', but dataset"),
        ({"inputs.modalities": ["txt"]}, "did you mean 'text'"),
        ({"evaluation.select": "ndcg@7"}, "evaluation.select: found 'ndcg@7'"),
        ({"runtime.device": "cuda"}, "torch sees no GPU"),
    ],
)
def test_what_cannot_run_says_why(experiment, tmp_path, changes, message):
    with pytest.raises(FusionlabError) as error:
        run_experiment(experiment.varied(changes), RunStore(tmp_path))
    assert message in str(error.value)
    assert RunStore(tmp_path).runs() == []


def test_an_oracle_needs_a_known_truth(experiment):
    data = replace(load_dataset(experiment), truth=None)
    with pytest.raises(FusionlabError, match=r"recommender\.name: found 'oracle', which needs a"):
        check(experiment.varied({"recommender": "oracle"}), data)


def test_the_cheat_is_caught(experiment):
    clicks = load_dataset(experiment).interactions
    with pytest.raises(FusionlabError, match="sealed"):
        _ = clicks.test.items


def test_a_damaged_record_is_named(experiment, tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment, store)
    file = store.folder(record.id) / "record.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(FusionlabError, match=r"record\.json: not a run record"):
        store.load(record.id)
    with pytest.raises(FusionlabError, match="expected exactly one"):
        store.find("ffff")


def test_a_run_that_fails_leaves_no_empty_folder(experiment, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise FusionlabError("broken")

    monkeypatch.setattr("fusionlab.studies.run.build_task", broken)
    with pytest.raises(FusionlabError, match="broken"):
        run_experiment(experiment, RunStore(tmp_path))
    assert list((tmp_path / ".partial").iterdir()) == []


def test_an_empty_prefix_is_no_run(experiment, tmp_path):
    store = RunStore(tmp_path)
    run_experiment(experiment, store)
    with pytest.raises(FusionlabError, match="run: found '', expected the first characters"):
        store.find("")


def test_a_record_in_the_folder_of_another_is_named(experiment, tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment, store)
    other = "f" * len(record.id)
    store.folder(record.id).rename(store.folder(other))
    with pytest.raises(FusionlabError, match=f"of {record.id}, expected that of {other}"):
        store.find("f")


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"test": {"ndcg@5": "0.5"}}},
        {"history": [{"loss": "0.5"}]},
        {"cost": {"seconds": -1.0}},
        {"cost": {"seconds": float("nan")}},
        {"warnings": ["\ud800"]},
    ],
)
def test_a_record_of_other_kinds_of_values_is_named(experiment, tmp_path, change):
    """In a record without a seal, as from before there were any."""
    store = RunStore(tmp_path)
    record = run_experiment(experiment, store)
    data = record.to_json()
    changed = {key: {**data[key], **one} if key == "cost" else one for key, one in change.items()}
    (record.folder / "record.json").write_text(json.dumps(data | changed))
    with pytest.raises(FusionlabError, match=r"record\.json: not a run record"):
        store.load(record.id)


def test_runs_are_read_where_a_folder_is_called_like_a_pattern(experiment, tmp_path):
    record = run_experiment(experiment, RunStore(tmp_path / "runs[1]*"))
    assert len(record.per_user())


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        ({"split": ["test"]}, "per_user"),
        ({"user": ["u1"], "split": [1]}, "per_user"),
        ({"user": ["u1"], "split": ["test"], "ndcg@5": ["0.5"]}, "per_user"),
        ({"user": ["u1"], "item": ["i1"]}, "words"),
    ],
)
def test_a_table_of_other_columns_is_named(experiment, tmp_path, columns, read):
    """In a run without digests, as from before there were any."""
    record = run_experiment(experiment, RunStore(tmp_path))
    (record.folder / SUMS).unlink()
    pl.DataFrame(columns).write_parquet(record.folder / f"{read}.parquet")
    with pytest.raises(FusionlabError, match=rf"{read}\.parquet: expected .*run again"):
        getattr(record, read)()


def test_an_id_score_is_not_added_to_votes(study_file):
    changes = {"fusion": "rank_fusion", "recommender": {"name": "hybrid"}}
    experiment = load_study(study_file).experiment.varied(changes)
    with pytest.raises(FusionlabError, match=r"item_ids: found true beside the fusion 'rank_fu"):
        build_task(experiment, load_dataset(experiment))
    alone = experiment.varied({"recommender.item_ids": False})
    assert build_task(alone, load_dataset(alone)).model.fusion.by_rank


def test_records_of_a_sample_hold_the_sampled_users_alone(experiment, tmp_path):
    sampled = experiment.varied({"evaluation.users": 9, "training.epochs": 1})
    frames = [
        run_experiment(sampled.varied({"seed": seed}), RunStore(tmp_path)).per_user()
        for seed in (0, 1)
    ]
    for split in ("valid", "test"):
        users = [frame.filter(pl.col("split") == split)["user"].to_list() for frame in frames]
        assert len(users[0]) == 9
        assert users[0] == users[1]
