"""Records, models, encoded columns and logs that were damaged on the disk."""

import csv
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.config import experiment_from
from fusionlab.serving.events import Event, Kind
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import (
    BLOW,
    BLOWS,
    bounded,
    contents,
    refusing_cleanly,
    seen,
    struck,
    write_damaged,
)

__all__ = ["bounded"]

SMALL = {
    "dataset": {"name": "synthetic", "users": 20, "items": 16, "clicks": 6},
    "dim": 4,
    "training": {"epochs": 1, "batch_size": 64},
    "evaluation": {"cutoffs": [5]},
}
RENDERED = {
    "dataset": {**SMALL["dataset"], "features": "rendered"},
    "encoders": {"image": {"of": "image", "encoder": {"name": "pixels", "side": 2}}},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("runs"))
    record = run_experiment(experiment_from(SMALL), store)
    return record.id, contents(store.folder(record.id))


@pytest.mark.usefixtures("bounded")
def test_a_damaged_run_is_read_or_refused(finished):
    run, files = finished

    @inputs("run records")
    @given(BLOWS)
    def read(damage):
        with tempfile.TemporaryDirectory() as home:
            store = RunStore(Path(home))
            store.folder(run).mkdir()
            write_damaged(files, damage, store.folder(run))
            before = seen(store.folder(run))
            with refusing_cleanly():
                record = store.find(run[:8])
                record.per_user()
                record.words()
                load_trained(run[:8], store)
            assert seen(store.folder(run)) == before

    read()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("encoded"))
    experiment = experiment_from({**SMALL, **RENDERED})
    load_dataset(experiment, store.features)
    finished = contents(store.root / "features")
    return experiment, {"finished": finished, "interrupted": interrupted(store.root)}


def interrupted(root):
    """The files of a column whose last step was not reached."""
    (card,) = (root / "features").glob("*/*/card.json")
    told = csv.DictReader((card.parent / "report.csv").read_text().splitlines())
    plan = [sorted({row["content"] for row in told})]
    (card.parent / "plan.json").write_text(json.dumps(plan))
    (card.parent / "journal.jsonl").write_text('{"block": 0, "faults": {}}\n')
    card.unlink()
    (card.parent / "report.csv").unlink()
    card.parent.rename(card.parent.with_suffix(".partial"))
    return contents(root / "features")


@pytest.mark.usefixtures("bounded")
def test_a_damaged_column_is_read_or_refused(encoded):
    experiment, columns = encoded

    @inputs("feature store")
    @given(st.sampled_from(sorted(columns)), BLOWS)
    def read(state, damage):
        with tempfile.TemporaryDirectory() as home:
            store = RunStore(Path(home))
            write_damaged(columns[state], damage, store.root / "features")
            with refusing_cleanly():
                load_dataset(experiment, store.features)
            shutil.rmtree(store.root / "features", ignore_errors=True)  # what each error advises
            assert load_dataset(experiment, store.features).features is not None

    read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
ID = (
    st.sampled_from(["ann", "bob", "mug"])
    | st.text()
    | st.sampled_from([None, "\ud800", 7, b"ann"])
)
NUMBER = st.none() | st.floats() | st.integers() | st.sampled_from(["1", True, 2**70, 10**400])
EVENT = st.builds(
    Event,
    kind=st.sampled_from([*Kind, "clik"]) | ID,
    user=ID,
    item=ID,
    time=NUMBER,
    rating=NUMBER,
    list=ID,
    context=JSON | st.binary() | st.just({1, 2}) | st.dictionaries(st.integers(), JSON),
)


@pytest.mark.usefixtures("bounded")
def test_events_are_logged_as_they_are_or_not_at_all(tmp_path):
    log = FeedbackLog(tmp_path / "log.sqlite", {"ann", "bob"}, {"mug"})

    @inputs("events")
    @given(st.lists(EVENT | st.just(Event("click", "ann", "mug")), min_size=1, max_size=3))
    def add(events):
        with refusing_cleanly():
            before = len(log.events())
            try:
                log.add(*events)
            except BaseException:
                assert len(log.events()) == before
                raise
            found = log.events()[before:]
            assert [(e.kind, e.user, e.item) for e in found] == [
                (e.kind, e.user, e.item) for e in events
            ]
        log.forget("ann")
        log.forget("bob")

    with log:
        add()


@pytest.mark.usefixtures("bounded")
def test_a_damaged_log_is_read_or_refused(tmp_path):
    with FeedbackLog(tmp_path / "log.sqlite") as log:
        log.add(*(Event("click", f"u{n}", "mug", context={"n": [n]}) for n in range(40)))
        log.forget("u3")
    content = (tmp_path / "log.sqlite").read_bytes()

    @inputs("feedback files")
    @given(st.lists(BLOW, min_size=1, max_size=3))
    def read(blows):
        with tempfile.TemporaryDirectory() as home:
            file = Path(home) / "log.sqlite"
            file.write_bytes(struck(content, blows))
            with refusing_cleanly(), FeedbackLog(file) as log:
                log.events("u1")
                log.events()
                log.add(Event("click", "u1", "mug"))
                log.forget("u1")

    read()
