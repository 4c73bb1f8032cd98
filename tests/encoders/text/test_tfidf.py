"""TF-IDF with truncated SVD: against scikit-learn, and what its state holds."""

import io
import json
import pickle

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_models import encode

from fusionlab import describe
from fusionlab.encoders.contract import ENCODERS, BadMedia, Fault
from fusionlab.errors import ConfigError, FusionlabError

pytest.importorskip("spacy", reason="pip install 'fusionlab-recsys[classic-text]'")

TRAIN = [
    "red dog barks barks",
    "red cat sleeps",
    "blue dog runs",
    "blue cat runs runs",
    "green bird sleeps",
    "red bird barks",
]
ENGLISH = {"language": "en"}


def new(**options):
    part = {"name": "tfidf", "width": 4, "min_items": 1, "steps": ENGLISH} | options
    return ENCODERS.parse(part).build()


def fitted(texts=TRAIN, **options):
    encoder = new(**options)
    encoder.fit(encoder.prepare(text) for text in texts)
    return encoder


@pytest.mark.parametrize("sublinear", [False, True])
@pytest.mark.parametrize("ngrams", [1, 2])
def test_equals_the_singular_vectors_of_scikit_learns_matrix(ngrams, sublinear):
    from sklearn.feature_extraction.text import TfidfVectorizer

    encoder = fitted(ngrams=ngrams, sublinear=sublinear)
    reference = TfidfVectorizer(ngram_range=(1, ngrams), sublinear_tf=sublinear)
    matrix = reference.fit_transform(TRAIN).toarray()
    _, _, rows = np.linalg.svd(matrix, full_matrices=False)
    test = ["red dog sleeps", "blue blue bird unseen"]
    expected = reference.transform(test).toarray() @ rows[:4].T
    values, on = encode(encoder, test)
    assert on.all()
    np.testing.assert_allclose(values[:, 0].abs(), np.abs(expected), atol=1e-5)


def test_the_largest_entry_of_each_direction_is_positive():
    components = fitted().components
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


def test_the_order_of_train_texts_does_not_matter():
    there, back = fitted(), fitted(TRAIN[::-1])
    assert torch.equal(there.vocabulary, back.vocabulary)
    torch.testing.assert_close(encode(there, TRAIN)[0], encode(back, TRAIN)[0], atol=1e-5, rtol=0)


def test_a_second_fit_gives_the_same_bits():
    first, second = fitted(), fitted()
    assert all(torch.equal(a, second.state_dict()[key]) for key, a in first.state_dict().items())


def test_the_state_alone_gives_the_same_features():
    encoder, other = fitted(), new()
    assert not other.components.numel()
    other.load_state_dict(pickle.loads(pickle.dumps(encoder.state_dict())))
    assert torch.equal(encode(encoder, TRAIN)[0], encode(other, TRAIN)[0])


def test_a_loaded_state_replaces_the_words_in_use():
    encoder, other = fitted(), fitted(["green house", "blue ball"])
    encode(other, TRAIN)
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(encode(encoder, TRAIN)[0], encode(other, TRAIN)[0])


def test_the_vocabulary_is_in_the_state():
    a, b = fitted(["red dog", "blue dog"]), fitted(["red cat", "blue cat"])
    assert not torch.equal(a.state_dict()["vocabulary"], b.state_dict()["vocabulary"])


def test_only_texts_that_the_fit_saw_decide():
    encoder = fitted(TRAIN[:3])
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encode(encoder, TRAIN)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert "bird" not in bytes(encoder.vocabulary.tolist()).decode()


def test_a_text_without_a_known_word_is_present_and_zero():
    values, on = encode(fitted(), ["unseen words", "...", "the", "red dog"])
    assert on.all()
    assert not values[:3].any()
    assert values[3].any()


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_text_is_missing(text):
    with pytest.raises(BadMedia) as caught:
        new().prepare(text)
    assert caught.value.fault is Fault.MISSING


def test_other_texts_of_the_batch_change_nothing():
    encoder = fitted()
    together, _ = encode(encoder, TRAIN)
    alone = torch.cat([encode(encoder, [text])[0] for text in TRAIN])
    torch.testing.assert_close(together, alone)
    order = [3, 0, 5, 1, 4, 2]
    assert torch.equal(encode(encoder, [TRAIN[row] for row in order])[0], together[order])


def test_directions_that_train_texts_do_not_span_are_zero():
    encoder = fitted(["red dog", "red dog", "blue cat"], width=8)
    values, _ = encode(encoder, ["red cat", "dog"])
    assert values.shape == (2, 1, 8)
    assert values[..., :2].any()
    assert not values[..., 2:].any()


def test_rare_words_and_words_beyond_the_most_frequent_are_left_out():
    text = bytes(fitted(min_items=2).vocabulary.tolist()).decode()
    assert "red" in text
    assert "green" not in text
    assert len(fitted(max_words=3).rarity) == 3


def test_without_a_fit_it_says_so():
    with pytest.raises(FusionlabError, match="found no fit"):
        encode(new(), ["red dog"])


@pytest.mark.parametrize("texts", [["the of"], ["red"], []])
def test_train_texts_without_words_are_explained(texts):
    with pytest.raises(FusionlabError, match="leave no word to count"):
        fitted(texts, min_items=2)


def test_prepare_travels_and_holds_no_model():
    encoder = fitted()
    sent = pickle.loads(pickle.dumps(encoder.prepare))
    assert torch.equal(sent(TRAIN[0])["words"], encoder.prepare(TRAIN[0])["words"])
    assert not any(isinstance(one, torch.nn.Module) for one in vars(encoder.prepare).values())


def test_steps_decide_over_words_and_their_versions_over_the_source():
    chinese = fitted(["北京电影", "上海电影"], steps={"language": "auto"})
    assert len(chinese.rarity) == 3
    assert chinese.source_id() != new().source_id()
    with pytest.raises(ConfigError, match=r"steps\.languag: unknown key"):
        new(steps={"languag": "en"})


def test_the_steps_are_options_that_can_be_written_down_and_shown():
    part = ENCODERS.parse({"name": "tfidf", "steps": {"language": "zh"}})
    again = ENCODERS.parse(json.loads(json.dumps(part.model_dump())))
    assert again == part
    assert ENCODERS.schema("tfidf").model_json_schema()
    console = Console(width=250, record=True, file=io.StringIO())
    for shown in describe.part("encoder", "tfidf", []):
        console.print(shown)
    text = console.export_text()
    assert "steps.language" in text
    assert "normal form of the characters" in text
