"""Texts as token ids: integers all the way from the tokenizer to the strategy."""

import pytest
import torch
from letters import catalogue

from fusionlab.config import experiment_from
from fusionlab.data.features import FeatureSpec, Taker
from fusionlab.data.reduction import reduce_features
from fusionlab.data.scaling import rescale
from fusionlab.encoders.contract import ENCODERS, BadMedia
from fusionlab.encoders.encode import Machine, encoded_dataset
from fusionlab.encoders.store import FeatureStore
from fusionlab.encoders.text.tiny import byte_tokenizer
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.schema import validate
from fusionlab.sections import Encoding
from fusionlab.studies.controls import CONTROLS
from fusionlab.studies.inputs import readable

TEXTS = ["a mug", "cup", "", "a much longer text"]
MACHINE = Machine(workers=0)


def encoding(**changes):
    part = {"name": "text_tokens", "model": "tiny", "max_length": 6}
    return validate(Encoding, {"of": "title", "encoder": part, **changes})


@pytest.fixture
def dataset(tmp_path):
    encodings = {"title": encoding(), "words": words()}
    return encoded_dataset(catalogue(TEXTS), encodings, FeatureStore(tmp_path), MACHINE)


def words():
    part = {"name": "tfidf", "width": 2, "min_items": 1}
    return validate(Encoding, {"of": "title", "encoder": part})


def test_ids_are_those_of_the_tokenizer(dataset):
    features, tokenizer = dataset.features, byte_tokenizer()
    ids, mask = features.values["title"], features.mask["title"]
    assert ids.dtype is torch.int32
    assert features.specs["title"] == FeatureSpec(1, 6, len(tokenizer))
    for row, text in enumerate(TEXTS):
        assert ids[row, mask[row], 0].tolist() == tokenizer(text).input_ids[:6]
    assert mask.sum(1).tolist() == [5, 3, 0, 6]


def test_nothing_to_tokenise_is_missing():
    encoder = ENCODERS.parse({"name": "text_tokens", "model": "tiny"}).build()
    with pytest.raises(BadMedia):
        encoder.prepare("  ")


def test_no_weights_are_loaded(monkeypatch):
    monkeypatch.setattr("fusionlab.encoders.text.loading._load", None)
    encoder = ENCODERS.parse({"name": "text_tokens", "model": "tiny"}).build()
    assert not list(encoder.parameters())


def test_they_stay_integers_on_the_way_to_a_strategy(dataset):
    features, train = dataset.features, torch.arange(2)
    wanted = features.values["title"]
    scaled = rescale(features, train, "feature")
    for found in (
        scaled,
        reduce_features(scaled, train, 0.9),
        features.to(dtype=torch.bfloat16),
        Taker(features)(torch.arange(4)),
        features.only(["words"]),
    ):
        assert torch.equal(found.values["title"], wanted)
        assert found.vocabulary == {"title": 257}
    assert "title" not in features.without_columns(["title"]).vocabulary


def test_they_cannot_be_trained(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"encoders\.title\.trained: found true, expected false: .*nothing to train",
    ):
        encoded_dataset(
            catalogue(TEXTS), {"title": encoding(trained=True)}, FeatureStore(tmp_path), MACHINE
        )


def experiment(fusion):
    part = {"name": fusion, "model": "tiny"} if fusion == "llm_prefix" else fusion
    return experiment_from({"dataset": "synthetic", "fusion": part})


def test_only_a_strategy_that_reads_them_sees_them(dataset):
    assert readable(experiment("llm_prefix"), dataset.features).modalities == ("title", "words")
    assert readable(experiment("concat"), dataset.features).modalities == ("words",)
    alone = dataset.features.without_columns(["words"])
    with pytest.raises(ConfigError, match=r"fusion\.name: found 'concat'.*token ids.*title"):
        readable(experiment("concat"), alone)


def test_single_modalities_are_those_that_the_strategy_reads(dataset):
    control = CONTROLS.parse("best_single_modality").build()
    assert len(control.variants(experiment("concat"), dataset)) == 1
    assert len(control.variants(experiment("llm_prefix"), dataset)) == 2


def test_a_model_that_is_not_there_is_one_error(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        FusionlabError, match=r"encoder 'text_tokens': model: found 'no/such', .*llm-smoll"
    ):
        ENCODERS.parse({"name": "text_tokens", "model": "no/such"}).build()
