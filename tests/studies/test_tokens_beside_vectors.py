"""One dataset with token ids, read by a strategy that reads text and by one that does not."""

import json

import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.text.tiny import write_tiny
from fusionlab.errors import FusionlabError
from fusionlab.llm import reader
from fusionlab.llm.model import load, shared
from fusionlab.studies.controls import CONTROLS
from fusionlab.studies.identity import run_id
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

TOKENS = {"of": "text", "encoder": {"name": "text_tokens", "model": "tiny", "max_length": 48}}
LLM = {"name": "llm_prefix", "model": "tiny", "prompt": "Item:", "tokens": 1}


def experiment(fusion, *, tokens=True, **changes):
    return experiment_from(
        {
            "dataset": {
                "name": "synthetic",
                "features": "rendered",
                "users": 60,
                "items": 40,
                "clicks": 10,
            },
            "encoders": {
                "image": {"of": "image", "encoder": {"name": "pixels", "side": 4}},
                **({"tokens": TOKENS} if tokens else {}),
            },
            "fusion": fusion,
            "dim": 8,
            "training": {"epochs": 2, "batch_size": 128, "modality_dropout": 0.3},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


def test_a_language_model_and_a_sum_train_on_one_dataset(store):
    llm = run_experiment(experiment(LLM), store)
    concat = run_experiment(experiment("concat"), store)
    assert llm.dataset["fingerprint"] == concat.dataset["fingerprint"]
    assert list(llm.dataset["features"]) == ["image", "tokens"]
    assert list(concat.dataset["features"]) == ["image"]
    assert llm.cost.epochs == 2
    assert llm.history[1]["loss"] < llm.history[0]["loss"] < 0.75


def test_a_strategy_of_vectors_does_not_notice_tokens(store):
    beside = run_experiment(experiment("concat"), store)
    alone = run_experiment(experiment("concat", tokens=False), store)
    assert beside.metrics == alone.metrics


def test_a_language_model_reads_a_column_once(store):
    """Vectors of a text whose ids are there are for strategies that cannot read ids."""
    vectors = {"encoders.words": {"of": "text", "encoder": {"name": "tfidf", "width": 8}}}
    llm = run_experiment(experiment(LLM).varied(vectors), store)
    concat = run_experiment(experiment("concat").varied(vectors), store)
    assert llm.dataset["fingerprint"] == concat.dataset["fingerprint"]
    assert list(llm.dataset["features"]) == ["image", "tokens"]
    assert list(concat.dataset["features"]) == ["image", "words"]
    only = experiment(LLM, inputs={"modalities": ["words"]}).varied(vectors)
    assert list(run_experiment(only, store).dataset["features"]) == ["words"]


def test_a_second_run_in_the_process_ends_with_the_bits_of_the_first(store, tmp_path):
    """Texts that the first one read are kept; they are what the second would have read."""
    first = run_experiment(experiment(LLM), store)
    again = run_experiment(experiment(LLM), RunStore(tmp_path))
    assert again.metrics == first.metrics
    assert [e["loss"] for e in again.history] == [e["loss"] for e in first.history]


def test_controls_of_a_language_model_run(store):
    shuffled = run_experiment(experiment(LLM, inputs={"shuffled": True}), store)
    text = run_experiment(experiment(LLM, inputs={"modalities": ["tokens"]}), store)
    both = run_experiment(experiment(LLM), store)
    assert len({r.history[-1]["loss"] for r in (shuffled, text, both)}) == 3


def test_modalities_are_dealt_to_other_items_while_the_text_stays():
    features = {"image": torch.randn(9, 1, 3), "text": torch.arange(9).view(9, 1, 1)}
    mask = {name: torch.arange(9)[:, None] != row for name, row in (("image", 1), ("text", 2))}
    items = ItemFeatures(features, mask, {"text": 9})
    ids = pl.Series(list("abcdefghi"))
    dataset = Dataset("nine", ids, items, interactions=None, labels=None, fingerprint="")
    dealt = dataset.with_shuffled_features(3, ["image"]).features
    whole = dataset.with_shuffled_features(3).features
    assert torch.equal(dealt.values["text"], features["text"])
    assert torch.equal(dealt.mask["text"], mask["text"])
    assert torch.equal(dealt.values["image"], whole.values["image"])
    assert torch.equal(dealt.mask["image"], whole.mask["image"])
    assert not torch.equal(dealt.values["image"], features["image"])
    with pytest.raises(FusionlabError, match=r"inputs\.shuffled: .*'imag'.*image"):
        dataset.with_shuffled_features(3, ["imag"])


def test_soft_tokens_are_shuffled_as_a_row_of_their_own(store):
    base = experiment(LLM)
    control = CONTROLS.parse({"name": "shuffled_features", "modalities": ["image"]}).build()
    ((label, changes),) = control.variants(base, None).items()
    assert label == "shuffled image"
    dealt = run_experiment(base.varied(changes), store)
    whole = run_experiment(base.varied({"inputs.shuffled": True}), store)
    assert len({r.history[-1]["loss"] for r in (dealt, whole, run_experiment(base, store))}) == 3


def test_alignment_before_a_run(store):
    found = run_experiment(experiment({**LLM, "align_epochs": 1}), store)
    assert found.history[-1]["loss"] != run_experiment(experiment(LLM), store).history[-1]["loss"]
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_changes_no_weight_of_a_frozen_model(dtype, tmp_path):
    llm = shared("tiny", None, dtype, "cpu")
    before = llm.fingerprint()
    run = run_experiment(experiment({**LLM, "dtype": dtype, "align_epochs": 1}), RunStore(tmp_path))
    assert run.cost.epochs == 2
    assert shared("tiny", None, dtype, "cpu") is llm, "the one that the run read with"
    assert llm.fingerprint() == before


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_with_lora_changes_nothing_but_what_it_added(dtype, tmp_path, monkeypatch):
    pytest.importorskip("peft", reason="pip install 'fusionlab-recsys[lora]'")
    models = []
    monkeypatch.setattr(reader, "load", lambda *args: models.append(load(*args)) or models[-1])
    run_experiment(experiment({**LLM, "dtype": dtype, "lora_rank": 2}), RunStore(tmp_path))
    assert models
    before = load("tiny", dtype=dtype).fingerprint()
    assert all(llm.fingerprint() == before for llm in models)
    added = [p for llm in models for n, p in llm.causal.named_parameters() if "lora_B" in n]
    assert any(p.abs().max() > 0 for p in added), "they were trained"


def test_ids_of_another_tokenizer_of_the_same_size_are_refused(store, tmp_path):
    write_tiny(tmp_path)
    here = experiment({**LLM, "model": str(tmp_path)})
    run_experiment(here, store)  # elsewhere, but the same
    file = tmp_path / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    names = {"a": "b", "b": "a"}
    tokenizer["model"]["vocab"] = {
        names.get(k, k): v for k, v in tokenizer["model"]["vocab"].items()
    }
    file.write_text(json.dumps(tokenizer))
    with pytest.raises(FusionlabError, match=r"fusion.model: .*'tiny'.*'tokens'.*text_tokens"):
        run_experiment(here, store)


def test_other_weights_are_another_run(tmp_path):
    write_tiny(tmp_path)
    here = experiment({**LLM, "model": str(tmp_path)})
    before = run_id(here, "data")
    assert run_id(here, "data") == before
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert run_id(here, "data") != before
