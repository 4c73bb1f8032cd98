"""Records, models, checkpoints and trials that were damaged on the disk."""

import json
import warnings
from dataclasses import replace
from functools import partial

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.config import experiment_from
from fusionlab.data.sealed import SEAL, SUMS, sealed, write_sums
from fusionlab.data.words import SCHEMA
from fusionlab.reporting.tuning import told_of, tuned_yaml
from fusionlab.schema import validate
from fusionlab.studies.record import WORDS_FILE
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import READ_BACK, RunStore
from fusionlab.studies.trained import load_trained
from fusionlab.studies.trials.mirror import Mirror
from fusionlab.studies.trials.records import Ledger, Trial, TrialFolder
from fusionlab.studies.trials.search import Search, Tuned
from fusionlab.training import loop
from fusionlab.tuning import Tuning
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOW, BLOWS, contents, damaged, struck
from tests.fuzzing.ground import bounded, ground, in_memory, refusing_cleanly

__all__ = ["bounded", "ground"]

SMALL = {
    "dataset": {"name": "synthetic", "users": 20, "items": 16, "clicks": 6},
    "dim": 4,
    "training": {"epochs": 2, "batch_size": 64},
    "evaluation": {"cutoffs": [5]},
}
SEALS = st.sampled_from(["sealed", "bare"])
"""As files are written; and as those of before there were seals, or of who makes them anew: what
was damaged is then read, and not only refused."""


def bare(files):
    """The files without the digests that would tell of a change."""
    found = {name: content for name, content in files.items() if not name.endswith(SUMS)}
    for name, content in found.items():
        if name.endswith(".json"):
            data = json.loads(content)
            data.pop(SEAL, None)
            found[name] = json.dumps(data, indent=1).encode()
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was told something since, with all files that a run can have."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    record = run_experiment(experiment_from(SMALL), store)
    folder = store.folder(record.id)
    words = pl.DataFrame(
        [("u1", "i1", True, 1), ("u2", "i2", False, 1)],
        schema={**SCHEMA, "step": pl.Int64},
        orient="row",
    )
    words.write_parquet(folder / WORDS_FILE)
    write_sums(folder, READ_BACK)
    told = replace(record, updated_from={"run": record.id, "root": record.id})
    (folder / "record.json").write_text(sealed(told.to_json()))
    files = contents(store.root)
    return store.load(record.id), {"sealed": files, "bare": bare(files)}


@pytest.mark.usefixtures("bounded")
def test_a_damaged_run_is_read_or_refused(finished, ground):
    whole, files = finished

    @inputs("run records")
    @given(SEALS, BLOWS)
    def read(state, damage):
        ground.lay(damaged(files[state], damage))
        store = RunStore(ground.root)
        with refusing_cleanly():
            record = store.find(whole.id[:8])
            record.per_user()
            record.words()
            if record.config == whole.config:  # another one may ask for any amount of work
                load_trained(whole.id[:8], store)
        ground.check_untouched()

    read()


def test_an_undamaged_run_is_read(finished, ground):
    whole, files = finished
    for state in files:
        ground.lay(files[state])
        trained = load_trained(whole.id, RunStore(ground.root))
        assert trained.record == replace(whole, folder=trained.record.folder)
        assert len(trained.record.words()) == 2


class Killed(Exception):
    pass


def kill(entry):
    if entry["epoch"] == SMALL["training"]["epochs"]:
        raise Killed


@pytest.mark.usefixtures("bounded")
def test_from_a_damaged_checkpoint_a_run_ends_with_the_same_bits_or_not_at_all(monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    experiment = experiment_from(SMALL)
    with in_memory() as home:
        whole = run_experiment(experiment, RunStore(home / "whole"))
        with pytest.raises(Killed):
            run_experiment(experiment, RunStore(home / "killed"), on_epoch=kill)
        content = (RunStore(home / "killed").partial(whole.id) / "checkpoint.pt").read_bytes()

    @inputs("checkpoints")
    @given(st.lists(BLOW, min_size=1, max_size=3))
    def resume(blows):
        with in_memory() as home, warnings.catch_warnings(action="ignore"):
            store = RunStore(home)
            (store.partial(whole.id) / "checkpoint.pt").write_bytes(struck(content, blows))
            with refusing_cleanly():
                assert run_experiment(experiment, store).metrics == whole.metrics

    resume()


TRIAL = Trial(0, "gated", {"fusion.rank": 3}, "complete", 0.25, True, 1.5, 9.0, [{"epoch": 1.0}])
TRIALS = [
    TRIAL,
    replace(TRIAL, number=1, changes={}, outcome="diverged", value=None),
    replace(TRIAL, number=2, value=0.5),
]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The files of a search with three trials."""
    folder = tmp_path_factory.mktemp("search")
    for trial in TRIALS:
        (folder / "partial").mkdir()
        TrialFolder(folder).save(trial, folder / "partial")
    files = contents(folder)
    return {"sealed": files, "bare": bare(files)}


SEARCH = Search(
    "gated",
    (Tuned("gated", experiment_from(SMALL), "0123", {}),),
    validate(Tuning, {"trials": len(TRIALS)}),
)


@pytest.mark.usefixtures("bounded")
def test_a_damaged_journal_of_the_tuner_is_written_anew():
    with in_memory() as home:
        store = RunStore(home)
        folder = SEARCH.folder(store)
        folder.describe(SEARCH.to_json())
        for trial in TRIALS:
            folder.save(trial, store.partial("trial"))
        Mirror(store, None).bring_up_to_date(SEARCH)
        journal = folder.folder / "optuna.log"
        content = journal.read_bytes()

        @inputs("journals")
        @given(st.lists(BLOW, min_size=1, max_size=3))
        def read(blows):
            journal.write_bytes(struck(content, blows))
            Mirror(store, None).bring_up_to_date(SEARCH)
            assert journal.read_bytes()

        read()


ledger_of = partial(Ledger, "5ea7c4", variants=1, select="ndcg@5", seed=0, how="tpe")


@pytest.mark.usefixtures("bounded")
def test_damaged_trials_are_read_or_refused(searched, ground):
    @inputs("trials")
    @given(SEALS, BLOWS)
    def read(state, damage):
        ground.lay(damaged(searched[state], damage))
        with refusing_cleanly():
            trials = TrialFolder(ground.root).first()
            ledger = ledger_of(trials=trials)
            told_of(ledger)
            if trials:
                told = ledger.as_written, ledger.seconds, ledger.peak_memory_mb, ledger.course
                assert told, tuned_yaml(ledger.best.changes)
        ground.check_untouched()

    read()
