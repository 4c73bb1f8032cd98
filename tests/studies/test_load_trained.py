"""A run's model comes back as it was, or the reader is told why not."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusionlab.config import experiment_from
from fusionlab.data.sealed import SEAL, SUMS
from fusionlab.errors import FusionlabError
from fusionlab.fusion.model_level.llm_prefix import LlmPrefix
from fusionlab.studies import run as running
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.trained import load_trained

SMALL = {
    "dataset": {"name": "synthetic", "users": 50, "items": 40, "clicks": 10},
    "dim": 8,
    "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
}
CLASSES = {"task": "classification", "dataset": {**SMALL["dataset"], "task": "classification"}}
RENDERED = {**SMALL["dataset"], "features": "rendered"}
PIXELS = {"of": "image", "encoder": {"name": "pixels", "side": 4}}
LLM = {
    "dataset": RENDERED,
    "encoders": {
        "image": PIXELS,
        "tokens": {
            "of": "text",
            "encoder": {"name": "text_tokens", "model": "tiny", "max_length": 48},
        },
    },
    "fusion": {"name": "llm_prefix", "model": "tiny", "prompt": "Item:", "tokens": 1},
}
TRAINED_ENCODER = {
    "dataset": RENDERED,
    "encoders": {
        "image": PIXELS,
        "text": {
            "of": "text",
            "encoder": {"name": "text_transformer", "model": "tiny", "max_length": 16},
            "trained": True,
        },
    },
}
RUNS = {
    "content, concat": {},
    "hybrid, gated": {"recommender": "hybrid", "fusion": "gated"},
    "hybrid, user gate": {"recommender": "hybrid", "fusion": "user_gate"},
    "bpr_mf": {"recommender": "bpr_mf"},
    "lightgcn_id": {"recommender": "lightgcn_id"},
    "lightgcn, gated": {"recommender": "lightgcn", "fusion": "gated"},
    "transformer": {"fusion": "transformer"},
    "pca": {"fusion": "pca"},
    "cca beside trained factors": {"recommender": "hybrid", "fusion": "cca"},
    "fewer modalities": {"inputs": {"modalities": ["text", "audio"]}},
    "shuffled": {"inputs": {"shuffled": True}},
    "popularity": {"recommender": "popularity"},
    "random": {"recommender": "random"},
    "oracle": {"recommender": "oracle"},
    "balancer with a state": {"balancer": "pmr"},
    "classes": CLASSES,
    "classes, decision level": {**CLASSES, "fusion": "evidential"},
    "language model": LLM,
    "language model, aligned": {**LLM, "fusion": {**LLM["fusion"], "align_epochs": 1}},
    "trained encoder": TRAINED_ENCODER,
}


def everything(task):
    if hasattr(task, "logits"):
        return task.logits()
    with torch.no_grad():
        return task.ranker()(torch.arange(task.train.n_users)).clone()


@pytest.fixture
def as_run(monkeypatch):
    """The scores of the model at the end of a run."""
    seen = []
    judge = running._judge

    def judged(experiment, dataset, task, ledger):
        found = judge(experiment, dataset, task, ledger)
        seen.append(everything(task))
        return found

    monkeypatch.setattr(running, "_judge", judged)
    return seen


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_scores_are_those_of_the_run(changes, as_run, tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from({**SMALL, **changes}), store)
    torch.manual_seed(99)
    torch.randn(7)
    found = load_trained(record.id[:8], store)
    assert found.record == record
    assert found.dataset.fingerprint == record.dataset["fingerprint"]
    assert not found.task.model.training
    assert torch.equal(everything(found.task), as_run[0])


def test_no_closed_form_part_is_fitted_again(tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from({**SMALL, **LLM}), store)
    monkeypatch.setattr(LlmPrefix, "fit", lambda *_: pytest.fail("fitted again"))
    load_trained(record.id, store)


def test_tensors_that_share_memory_are_kept(tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL), store)
    table = torch.arange(12.0).view(3, 4)
    tied = {"a": table, "b": table, "c": table.T, "d": table[1], "e": torch.zeros(0)}
    store.save(record, record.per_user(), tied)
    kept = load_file(store.folder(record.id) / MODEL_FILE)
    assert kept.keys() == tied.keys()
    assert all(torch.equal(kept[name], tied[name]) for name in tied)


def test_what_does_not_fit_is_said(tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL), store)
    file = store.folder(record.id) / MODEL_FILE
    state = load_file(file)
    name = next(iter(state))
    save_file({**state, name: state[name][..., :-1].contiguous()}, file)
    with pytest.raises(FusionlabError, match=r"cut off or changed.*delete the folder and run"):
        load_trained(record.id, store)
    file.unlink()
    with pytest.raises(FusionlabError, match=rf"{MODEL_FILE}: not found, expected .*{SUMS} names"):
        load_trained(record.id, store)
    save_file({**state, name: state[name][..., :-1].contiguous()}, file)
    (file.parent / SUMS).unlink()  # as of before there were digests
    data = json.loads((file.parent / "record.json").read_text())
    del data[SEAL]
    (file.parent / "record.json").write_text(json.dumps(data))
    with pytest.raises(FusionlabError, match=rf"does not fit .*size mismatch for {name}"):
        load_trained(record.id, store)
    state["other"] = state.pop(name)
    save_file(state, file)
    with pytest.raises(FusionlabError, match=rf'Missing key\(s\).*"{name}".*Unexpected.*"other"'):
        load_trained(record.id, store)
    file.unlink()
    with pytest.raises(FusionlabError, match="recorded before runs kept their models"):
        load_trained(record.id, store)


def test_changed_data_are_refused(tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(experiment_from(SMALL), store)
    file = store.folder(record.id) / "record.json"
    old = record.dataset["fingerprint"]
    forged = file.read_text().replace(old, "f" * len(old))
    file.write_text(forged)
    with pytest.raises(FusionlabError, match="it was changed since it was written"):
        load_trained(record.id, store)
    data = json.loads(forged)
    del data[SEAL]
    file.write_text(json.dumps(data))
    with pytest.raises(FusionlabError, match=f"fingerprint {old[:12]}, expected ffffffffffff"):
        load_trained(record.id, store)
