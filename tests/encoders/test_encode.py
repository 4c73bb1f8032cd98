"""Encoding a column: what is computed, and what is not."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import WORDS, Letters, catalogue, encoding

from fusionlab.data.features import ItemFeatures
from fusionlab.data.media import Media, Medium
from fusionlab.encoders.encode import Machine, encode, with_encoded
from fusionlab.encoders.more import encode_more
from fusionlab.encoders.store import FeatureStore
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.schema import validate
from fusionlab.sections import Encoding

HERE = Machine(workers=0)


@pytest.fixture
def encoded(tmp_path):
    """Encode texts; the number of items that were computed and the finished column."""

    def run(texts=WORDS, machine=HERE, root=tmp_path / "features", **options):
        dataset = catalogue(texts)
        seen = []
        columns = encode(
            dataset,
            {"text": encoding(**options)},
            FeatureStore(root),
            machine,
            lambda modality, done, total: seen.append(total),
        )
        return (seen[0] if seen else 0), columns["text"]

    return run


def rows(column):
    return np.load(column.folder / "values.npy")[:, 0]


def test_what_is_finished_is_read_without_a_lock(encoded, tmp_path):
    """It may lie in a read-only folder."""
    encoded()
    (lock,) = (tmp_path / "features").rglob("*.lock")
    lock.unlink()
    assert encoded()[0] == 0
    assert not lock.exists()


def test_features_are_those_of_the_encoder_alone(encoded):
    _, column = encoded()
    encoder = encoding().encoder.build()
    for text, row in zip(WORDS, rows(column), strict=True):
        alone, _ = encoder(encoder.collate([encoder.prepare(text)]))
        torch.testing.assert_close(torch.from_numpy(row), alone[0, 0].detach())


def test_equal_content_is_encoded_once_and_finished_work_not_again(encoded):
    assert encoded()[0] == 9, "two of the ten are the same word"
    assert encoded()[0] == 0


def test_what_half_precision_does_not_hold_is_a_row_of_the_report(tmp_path, monkeypatch):
    part = encoding().model_copy(update={"store": "fp16"})
    monkeypatch.setattr(Letters, "forward", beyond(Letters.forward))
    column = encode(catalogue(), {"text": part}, FeatureStore(tmp_path), HERE)["text"]
    assert "beyond what float16 holds" in (column.folder / "report.csv").read_text()
    assert np.isfinite(rows(column)).all()
    assert not np.load(column.folder / "mask.npy")[0].any()


def beyond(forward, factor=1e6):
    """Features of words as long as "mug" become too large."""

    def found(self, batch):
        values, mask = forward(self, batch)
        return torch.where((batch["lengths"] == 3)[:, None, None], factor * values, values), mask

    return found


def test_a_changed_item_recomputes_one_row(encoded):
    texts = list(WORDS)
    _, before = encoded()
    texts[3] = "kettle"
    computed, after = encoded(texts)
    assert computed == 1
    same = np.arange(len(texts)) != 3
    assert np.array_equal(rows(before)[same], rows(after)[same])
    assert not np.array_equal(rows(before)[3], rows(after)[3])


def test_workers_change_no_bit(encoded, tmp_path):
    _, here = encoded(root=tmp_path / "here")
    _, there = encoded(root=tmp_path / "there", machine=Machine(workers=2))
    assert (here.folder / "values.npy").read_bytes() == (there.folder / "values.npy").read_bytes()


def test_ray_changes_no_bit(encoded, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="pip install 'fusionlab-recsys[ray]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    texts = [f"{row} " + "x" * (row % 7) for row in range(70)]
    texts[5] = "bad"
    _, here = encoded(texts, root=tmp_path / "here")
    computed, there = encoded(
        texts, root=tmp_path / "there", machine=Machine(workers=1, ray="local")
    )
    ray.shutdown()
    assert computed == 70
    for name in ("values.npy", "report.csv"):
        assert (here.folder / name).read_bytes() == (there.folder / name).read_bytes()


def test_what_cannot_be_encoded_is_missing_with_its_reason(encoded):
    texts = ["mug", None, "bad", "cup", "bad"]
    computed, column = encoded(texts)
    assert computed == 3
    assert [(one.status, one.why) for one in column.statuses] == [
        ("ok", ""),
        ("missing", "nothing given"),
        ("corrupt", "it says so"),
        ("ok", ""),
        ("corrupt", "it says so"),
    ]
    features = with_encoded(catalogue(texts), {"text": column}).features
    assert features.present("text").tolist() == [True, False, False, True, False]
    assert (features.values["text"][~features.present("text")] == 0).all()
    assert encoded(texts)[0] == 0, "a finished column is finished"
    assert encoded([*texts, "jug"])[0] == 2, "in another one what was bad is tried again"


def test_what_has_no_hash_is_corrupt(encoded):
    _, column = encoded(["mug", "half a pair: \ud800", Path("cup\0.txt")])
    assert [one.status for one in column.statuses] == ["ok", "corrupt", "corrupt"]
    assert "surrogates" in column.statuses[1].why
    assert "null" in column.statuses[2].why


def test_a_decoder_that_takes_its_process_down_costs_one_item(encoded):
    texts = [f"word {row}" for row in range(40)]
    texts[20] = "crash"
    _, column = encoded(texts, machine=Machine(workers=1))
    bad = [(row, one.why) for row, one in enumerate(column.statuses) if one.status != "ok"]
    assert bad == [(20, "its decoder crashed")]


@pytest.mark.parametrize("options", [{"seed": 1}, {"width": 6}, {"name": "centred_letters"}])
def test_two_configurations_share_no_row(encoded, options):
    _, first = encoded()
    computed, other = encoded(**options)
    assert computed == 9
    assert first.folder.parent != other.folder.parent


def test_fitting_sees_train_items_alone(encoded):
    texts = list(WORDS)
    _, column = encoded(name="centred_letters")
    np.testing.assert_allclose(rows(column)[:2].mean(0), 0, atol=1e-6)
    texts[5] = "of no train item"
    assert encoded(texts, name="centred_letters")[0] == 1, "fitted on the same, so rows are shared"
    texts[0] = "a train item"
    assert encoded(texts, name="centred_letters")[0] == 10


def test_the_card_says_where_features_come_from(encoded):
    _, column = encoded(seed=3)
    card = column.card
    assert card["encoder"] == {"name": "letters", "width": 5, "seed": 3, "delay": 0.0}
    assert card["items"] == 10
    assert card["column"] == "title"
    assert torch.__version__.startswith(card["versions"]["torch"])
    assert len(card["state"]) == len(card["features"]) == 64


def test_features_are_part_of_the_datasets_identity(encoded):
    dataset = catalogue()
    known = {
        with_encoded(dataset, {"text": column}).fingerprint
        for column in (encoded()[1], encoded(seed=1)[1])
    }
    assert len(known) == 2
    assert dataset.fingerprint not in known
    column = encoded()[1]
    renamed = {with_encoded(dataset, {name: column}).fingerprint for name in ("text", "title")}
    assert len(renamed) == 2, "a modality by another name is another dataset"


OWN = ItemFeatures({"image": torch.ones(10, 1, 2)}, {"image": torch.ones(10, 1, dtype=torch.bool)})


@pytest.mark.parametrize(
    ("name", "changes", "error", "said"),
    [
        (
            "fused",
            {},
            ConfigError,
            "encoders: found the modality name 'fused', which is reserved; expected an",
        ),
        (
            "image",
            {},
            ConfigError,
            "encoders: found 'image', expected a name the dataset lacks: not image",
        ),
        (
            "text",
            {"of": "titel"},
            ConfigError,
            "encoders.text.of: .* found 'titel', .* did you mean 'title'",
        ),
        (
            "text",
            {"encoder": "pixels"},
            ConfigError,
            "encoders.text.of: found 'title', which is text; 'pixels' reads image, .*: cover",
        ),
        (
            "text",
            {"encoder": {"name": "text_transformer", "model": "tiny", "layers": 9}},
            FusionlabError,
            "encoders.text.encoder: encoder 'text_transformer': layers: found 9, but",
        ),
        (
            "cover",
            {"of": "cover", "encoder": {"name": "pixels", "patch": 5}},
            FusionlabError,
            "encoders.cover.encoder: patch: found 5, expected a divisor of side",
        ),
        (
            "sound",
            {"of": "sound", "encoder": {"name": "audio_mfcc", "coefficients": 100}},
            ConfigError,
            "encoders.sound.encoder.coefficients: found 100, more than",
        ),
    ],
)
def test_what_cannot_be_encoded_is_refused_with_its_place(tmp_path, name, changes, error, said):
    media = {
        "title": Media(Medium.TEXT, WORDS),
        "cover": Media(Medium.IMAGE, [None] * 10),
        "sound": Media(Medium.AUDIO, [None] * 10),
    }
    dataset = replace(catalogue(), features=OWN, media=media)
    part = validate(Encoding, {"of": "title", "encoder": "letters", **changes})
    with pytest.raises(error, match=said):
        encode(dataset, {name: part}, FeatureStore(tmp_path), HERE)


def test_without_train_items_there_is_nothing_to_fit_on(tmp_path):
    dataset = replace(catalogue(), labels=None)
    said = "'texts': found neither clicks nor classes, expected either: 'centred_letters' is fitted"
    with pytest.raises(FusionlabError, match=said):
        encode(dataset, {"text": encoding("centred_letters")}, FeatureStore(tmp_path), HERE)


@pytest.mark.parametrize(
    ("text", "factor", "said"),
    [
        ("bad", 1, "item 'n', title: it says so"),
        ("mug", float("nan"), "item 'n', title: its features are not finite"),
        ("mug", 1e6, "item 'n', title: found features beyond what fp16 holds, .* store: fp32"),
    ],
)
def test_a_new_item_that_cannot_be_encoded_is_refused(text, factor, said, monkeypatch):
    part = encoding().model_copy(update={"store": "fp16"})
    monkeypatch.setattr(Letters, "forward", beyond(Letters.forward, factor))
    with pytest.raises(FusionlabError, match=said):
        encode_more(part.encoder.build(), part, {"item 'n', title": text})
