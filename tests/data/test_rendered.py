"""The rendered catalogue: real media from which the codes, and nothing but them, can be read."""

import io
import operator
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_media import read_picture, read_sound

from fusionlab.data.dataset import DATASETS
from fusionlab.data.formats.folder import Folder
from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.media import Medium, content_hash
from fusionlab.data.synthetic import AtomOptions
from fusionlab.data.synthetic.render.folder import write_folder
from fusionlab.data.synthetic.render.sentences import CLAUSES, FILLERS, WORDS
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings

SMALL = {"users": 30, "items": 60, "clicks": 20}
NAMES = ("text", "image", "audio")
READERS = {"image": read_picture, "audio": read_sound}


def rendered(**options):
    return Synthetic(**{**SMALL, "features": "rendered", **options}).load()


def splits(data):
    if data.labels is not None:
        test = data.labels.test.open(Openings(), "test of the generator")
        parts = [data.labels.train, data.labels.valid, test]
        return [tensor for part in parts for tensor in (part.items, part.classes)]
    test = data.interactions.test.open(Openings(), "test of the generator")
    parts = [data.interactions.train, data.interactions.valid, test]
    return [tensor for part in parts for tensor in (part.indptr, part.items)]


@pytest.mark.parametrize("task", ["recommendation", "classification"])
def test_clicks_labels_and_truth_are_those_of_measured_features(task):
    options = {"task": task, "flip": 0.1, "alphabet": 3, "missing": {"text": 0.3}, "seed": 5}
    data, measured = rendered(**options), Synthetic(**SMALL, **options).load()
    assert data.features is None
    assert measured.media == {}
    assert all(map(torch.equal, splits(data), splits(measured)))
    for name in ("clean", "observed", "present", "tastes", "popularity"):
        assert torch.equal(getattr(data.truth, name), getattr(measured.truth, name))
    assert all(torch.equal(data.truth.codes[n], measured.truth.codes[n]) for n in NAMES)
    assert data.truth.coalition_value(NAMES) == measured.truth.coalition_value(NAMES)


def test_media_are_text_png_and_wav():
    from PIL import Image

    media = rendered().media
    assert [media[name].medium for name in NAMES] == list(Medium)
    assert [len(media[name]) for name in NAMES] == [60] * 3
    assert all(isinstance(text, str) and text[-1] == "." for text in media["text"].entries)
    picture = Image.open(io.BytesIO(media["image"].entries[0]))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (64, 64))
    assert media["audio"].entries[0].startswith(b"RIFF")


@pytest.mark.parametrize("alphabet", [2, 3, 4])
@pytest.mark.parametrize("name", ["image", "audio"])
def test_every_part_of_the_code_is_measured_off_pictures_and_sounds(name, alphabet):
    data = rendered(items=250, alphabet=alphabet, seed=1)
    read = np.array([READERS[name](entry) for entry in data.media[name].entries])
    assert ((read == data.truth.codes[name].numpy()).mean(0) > 0.99).all()


@pytest.mark.parametrize("alphabet", [2, 4])
def test_a_bag_of_words_learns_every_part_of_the_code(alphabet):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    data = rendered(items=2000, alphabet=alphabet, seed=2)
    texts, codes = list(data.media["text"].entries), data.truth.codes["text"].numpy()
    words = CountVectorizer(binary=True).fit(texts[:1000]).transform(texts)
    for part in codes.T:
        probe = LogisticRegression(C=10, max_iter=300).fit(words[:1000], part[:1000])
        assert probe.score(words[1000:], part[1000:]) > 0.99


@given(st.integers(0, 2**32), st.integers(2, 4), st.data())
@settings(max_examples=25)
def test_whatever_the_seed_entries_can_be_read_and_come_again(seed, alphabet, draw):
    options = {"users": 2, "items": 40, "clicks": 10, "seed": seed, "alphabet": alphabet}
    data, again = rendered(**options), rendered(**options)
    row = draw.draw(st.integers(0, 39))
    for name in NAMES:
        entry = data.media[name].entries[row]
        assert entry == again.media[name].entries[row]
        if name in READERS:
            assert READERS[name](entry) == data.truth.codes[name][row].tolist()


def test_another_process_renders_the_same_bytes():
    entries = {name: media.entries for name, media in rendered().media.items()}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for held in entries.values():
            assert pool.submit(operator.getitem, held, slice(3)).result() == held[:3]
            assert pickle.loads(pickle.dumps(held))[7] == held[7]


def test_entries_are_a_sequence():
    entries = rendered(items=20).media["audio"].entries
    assert entries[-1] == entries[19] == entries[18:][1]
    assert len(list(entries)) == 20
    with pytest.raises(IndexError):
        entries[20]


def test_items_of_one_code_differ():
    atoms = [AtomOptions(kind="copy", over=NAMES)]
    data = rendered(items=300, atoms=atoms)
    same = (data.truth.codes["text"][:, 0] == 1).nonzero()[:, 0].tolist()
    assert len(same) > 100
    for name in NAMES:
        taken = data.media[name].take(same)
        assert len({content_hash(entry) for entry in taken.entries}) == len(same)


def test_values_are_equally_frequent_and_every_word_is_used():
    data = rendered(items=4000, alphabet=4)
    for codes in data.truth.codes.values():
        counts = torch.stack([column.bincount(minlength=4) for column in codes.T])
        assert (counts - 1000).abs().max() < 5 * (4000 * 3 / 16) ** 0.5
    text = " ".join(data.media["text"].entries).lower()
    assert all(word in text for values in WORDS for words in values for word in words)
    assert all(filler in text for filler in FILLERS)


def test_no_word_of_a_value_stands_anywhere_else():
    groups = [set(" ".join(words).split()) for values in WORDS for words in values]
    frames = " ".join([*FILLERS, *(way for ways in CLAUSES for way in ways)])
    groups.append(set(frames.replace("{}", "").split()))
    assert len(set().union(*groups)) == sum(map(len, groups))
    assert all(len(words) >= 6 for words in groups)


def test_an_item_without_a_modality_has_no_entry_and_the_others_keep_theirs():
    whole, data = rendered(), rendered(missing={"image": 0.4, "audio": 1.0})
    for column, name in enumerate(NAMES):
        entries, present = data.media[name].entries, data.truth.present[:, column].tolist()
        assert [entry is not None for entry in entries] == present
        kept = [row for row, there in enumerate(present) if there]
        assert data.media[name].take(kept) == whole.media[name].take(kept)
    assert not any(data.truth.present[:, 2])


def test_an_attribute_that_no_part_chooses_means_nothing():
    atoms = [AtomOptions(kind="copy", over=("image",))]
    data = rendered(items=300, atoms=atoms, modalities=("audio", "image"))
    read = np.array([read_picture(entry) for entry in data.media["image"].entries])
    assert np.array_equal(read[:, :1], data.truth.codes["image"].numpy())
    for free in (*read.T[1:], *np.array([read_sound(e) for e in data.media["audio"].entries]).T):
        table = np.zeros((2, 4))
        np.add.at(table, (read[:, 0], free), 1)
        assert table.min() > 10


def test_a_folder_of_it_is_read_back(tmp_path):
    data = rendered(missing={"image": 0.4})
    write_folder(data, tmp_path / "films")
    back = Folder(path=str(tmp_path / "films")).load()
    assert back.item_ids.to_list() == data.item_ids.to_list()
    assert pairs(back) == pairs(data)
    items = pl.read_csv(tmp_path / "films" / "items.csv")
    assert items.columns == ["item", *NAMES]
    for row, (_, text, *paths) in enumerate(items.iter_rows()):
        assert text == data.media["text"].entries[row]
        for name, path in zip(NAMES[1:], paths, strict=True):
            entry = data.media[name].entries[row]
            assert (path is None) == (entry is None)
            assert path is None or (tmp_path / "films" / path).read_bytes() == entry


def pairs(data):
    test = data.interactions.test.open(Openings(), "test of the generator")
    users, items = data.interactions.user_ids, data.item_ids
    return [
        sorted(zip(users[c.users.numpy()], items[c.items.numpy()], strict=True))
        for c in (data.interactions.train, data.interactions.valid, test)
    ]


def test_classes_are_written_without_clicks_and_features_not_at_all(tmp_path):
    write_folder(rendered(items=40, task="classification"), tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"items.csv", "image", "audio"}
    with pytest.raises(FusionlabError, match="no media to write"):
        write_folder(Synthetic(**SMALL).load(), tmp_path / "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ("text", "video")}, "modalities: .*'rendered'.*found 'video'"),
        ({"alphabet": 5}, "alphabet: found 5, expected at most 4"),
        (
            {"atoms": [AtomOptions(kind="copy", over=("text",), name=n) for n in "abcd"]},
            "atoms: found 4 over 'text', expected at most 3",
        ),
        ({"difficulty": {"image": 2}}, "difficulty: found 2 for 'image'.*measured features"),
        ({"scale": 0.5}, "scale: found 0.5 for 'text'"),
        ({"nuisance": 0}, "nuisance: found 0 for 'text'"),
    ],
)
def test_what_cannot_be_rendered_is_refused(options, message):
    with pytest.raises(FusionlabError, match=message):
        rendered(**options)


def test_the_configuration_names_it():
    part = DATASETS.parse({"name": "synthetic", **SMALL, "features": "rendered"})
    assert set(part.build().load().media) == set(NAMES)
