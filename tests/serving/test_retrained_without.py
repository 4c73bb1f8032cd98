"""Who was forgotten or named in a file: a model retrained is one that never held them."""

import polars as pl
import pytest
import torch
from click.testing import CliRunner
from forgetting import COMER, GONE, JOINED, OTHERS, found_in, log, log_newcomer, rows, run, shop
from safetensors.torch import load_file

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.serving.events import Event
from fusionlab.serving.forget import forget
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import open_feedback
from fusionlab.serving.update import update
from fusionlab.studies import datasets
from fusionlab.studies import update as update_module
from fusionlab.studies.fine_tuning import FineTuning
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.mark.parametrize("dropped_from", ["source", "file"])
@pytest.mark.parametrize("recommender", ["bpr_mf", "content", "hybrid", "ease"])
def test_retrained_without_them_the_model_is_one_that_never_held_them(
    tmp_path, recommender, dropped_from, monkeypatch
):
    """Bit for bit, with the feedback of the others: whether the source drops the user or a file."""
    features = recommender in ("content", "hybrid")
    held = RunStore(tmp_path / "held")
    never = RunStore(tmp_path / "never")
    rest = [row for row in rows() if row[0] != GONE]
    dataset = shop(tmp_path / "shop", rows(), features=features)
    record = run(held, dataset, recommender)
    log(record, held, OTHERS)
    forget(record.id, GONE, held)
    without = None
    if dropped_from == "source":
        pl.DataFrame(rest, schema=["user", "item"], orient="row").write_csv(
            tmp_path / "shop" / "interactions.csv"
        )
    else:
        without = str(tmp_path / "gone.txt")
        (tmp_path / "gone.txt").write_text(GONE)
    datasets._datasets.clear()  # as a new process would begin
    found = update(record.id, held, None, without_users=without)
    assert found.before is None
    assert found.after is not None

    clean = run(never, shop(tmp_path / "clean", rest, features=features), recommender)
    log(clean, never, OTHERS, gone=False)
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    kept = update(clean.id, never, None).record
    states = [load_file(one.folder / "model.safetensors") for one in (found.record, kept)]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    files = [(one.folder / "model.safetensors").read_bytes() for one in (found.record, kept)]
    assert files[0] == files[1]
    assert found.record.metrics == kept.metrics


@pytest.mark.parametrize("recommender", ["bpr_mf", "content"])
def test_who_joined_and_is_forgotten_leaves_a_nameless_row(
    store, tmp_path, recommender, monkeypatch
):
    """A model that has a vector of them can still be brought back, and serves the others."""
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    record = run(store, shop(tmp_path / "shop", rows(), features=True), recommender)
    log(record, store, OTHERS, gone=False)
    log_newcomer(record, store)
    new = update(record.id, store, None).record
    assert new.words().filter(pl.col("user") == COMER).height > 1
    before = Service(load_trained(new.id, store)).recommend([OTHERS[3]], k=5)
    assert forget(new.id, COMER, store).events == 4
    assert found_in(store.root, JOINED) == []
    assert forget(new.id, OTHERS[0], store).rows > 0  # another one later: the nameless row stays
    back = load_trained(new.id, store)
    assert back.dataset.interactions.n_users == new.dataset["users"] == 26
    after = Service(back).recommend([OTHERS[3]], k=5)
    assert [one.item for one in before[0].items] == [one.item for one in after[0].items]
    with pytest.raises(FusionlabError, match=COMER):
        Service(back, log=open_feedback(new.id, store)).recommend([COMER])


@pytest.mark.parametrize("how", ["forgotten", "file"])
@pytest.mark.parametrize("recommender", ["bpr_mf", "content", "ease"])
def test_retrained_without_who_joined_the_model_is_one_that_never_held_them(
    tmp_path, recommender, how, monkeypatch
):
    monkeypatch.setattr(update_module, "worth", lambda *_: 1.0)
    monkeypatch.setattr(update_module, "worth_on_validation", lambda *_: torch.ones(9))
    dataset = shop(tmp_path / "shop", rows(), features=True)
    states = []
    for place in ("held", "never"):
        store = RunStore(tmp_path / place)
        record = run(store, dataset, recommender)
        log(record, store, OTHERS, gone=False)
        without = None
        if place == "held":
            log_newcomer(record, store)
            assert COMER in update(record.id, store, None).record.words()["user"].to_list()
            if how == "forgotten":
                forget(record.id, COMER, store)
            else:
                without = str(tmp_path / "gone.txt")
                (tmp_path / "gone.txt").write_text(COMER)
        new = update(record.id, store, None, without_users=without).record
        assert COMER not in new.words()["user"].to_list()
        assert new.dataset["users"] == 25
        states.append(((new.folder / "model.safetensors").read_bytes(), new.metrics))
    assert states[0] == states[1]


def test_who_is_as_if_never_there_is_not_served_from_the_log(store, tmp_path):
    (tmp_path / "gone.txt").write_text(GONE)
    gone = {"privacy": {"without_users": str(tmp_path / "gone.txt")}}
    record = run(store, shop(tmp_path / "shop", rows(), features=True) | gone, "content")
    with open_feedback(record.id, store, new_users=True) as log:
        log.add(Event("click", GONE, "i01"))
        with pytest.raises(FusionlabError, match=f"found '{GONE}'"):
            Service(load_trained(record.id, store), log=log).recommend([GONE])


def test_a_dataset_that_has_changed_is_retrained_without_any_feedback(tmp_path):
    """The same as a run on the dataset as it is now; there is nothing to judge by."""
    store, never = RunStore(tmp_path / "runs"), RunStore(tmp_path / "never")
    record = run(store, shop(tmp_path / "shop", rows(), features=True), "content")
    (tmp_path / "gone.txt").write_text(GONE)
    found = update(record.id, store, None, without_users=str(tmp_path / "gone.txt"))
    assert (found.before, found.after) == (None, None)
    rest = [row for row in rows() if row[0] != GONE]
    clean = run(never, shop(tmp_path / "clean", rest, features=True), "content")
    files = [(one.folder / "model.safetensors").read_bytes() for one in (found.record, clean)]
    assert files[0] == files[1]
    assert found.record.metrics == clean.metrics
    assert GONE not in found.record.per_user()["user"].to_list()
    lines = ["user,item", *(f"{user},{item}" for user, item in rest)]
    (tmp_path / "shop" / "interactions.csv").write_text("\n".join(lines))
    datasets._datasets.clear()
    with pytest.raises(FusionlabError, match=r"have changed since.*--retrain"):
        update(record.id, store, FineTuning())


def test_the_record_names_the_file_as_it_was_typed(store, tmp_path, monkeypatch):
    """As it names the folder of the dataset: where either stands on a machine is in no record."""
    shop(tmp_path / "shop", rows(), features=False)
    monkeypatch.chdir(tmp_path)
    record = run(store, {"name": "folder", "path": "shop"}, "popularity")
    (tmp_path / "gone.txt").write_text(GONE)
    asked = ["update", record.id, "--retrain", "--without-users", "gone.txt", "--runs", "runs"]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 0, told.output
    (new,) = (store.load(one) for one in store.runs() if one != record.id)
    assert new.config["dataset"]["privacy"]["without_users"] == "gone.txt"
    assert str(tmp_path) not in (new.folder / "record.json").read_text()
