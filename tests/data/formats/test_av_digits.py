import io
import os

import numpy as np
import pytest
from PIL import Image
from raw_worlds import write_digits
from sklearn.datasets import load_digits

from fusionlab.data.formats.av_digits import AVDigits
from fusionlab.data.media import Medium
from fusionlab.seal import Openings


def load(**options):
    return AVDigits(**{"path": "digits", "test": 1, **options}).load()


def parts(data):
    labels = data.labels
    return [labels.train, labels.valid, labels.test.open(Openings(), "a test")]


def pictures(data):
    """(N, 64) the pixels of each item's image, 0 to 16."""
    opened = [Image.open(io.BytesIO(entry)) for entry in data.media["image"].entries]
    assert {(image.mode, image.size) for image in opened} == {("L", (8, 8))}
    pixels = np.stack([np.asarray(image, dtype=float) for image in opened])
    return np.rint(pixels.reshape(len(opened), 64) * 16 / 255)


def of_parts(data, values):
    return [{values[row] for row in part.items.tolist()} for part in parts(data)]


def assert_sound(data):
    """Each item is a sound and an image of its digit; no voice and no image is in two splits."""
    known, written = load_digits(return_X_y=True)
    digit_of = {row.tobytes(): digit for row, digit in zip(known, written, strict=True)}
    images = [row.tobytes() for row in pictures(data)]
    names = [path.stem.split("_") for path in data.media["audio"].entries]
    for part in parts(data):
        for row, digit in zip(part.items.tolist(), part.classes.tolist(), strict=True):
            assert digit_of[images[row]] == digit == int(names[row][0])
    for values in (images, [speaker for _, speaker, _ in names]):
        train, valid, test = of_parts(data, values)
        assert train.isdisjoint(valid)
        assert test.isdisjoint(train | valid)
    rows = sorted(row for part in parts(data) for row in part.items.tolist())
    assert rows == list(range(len(data.item_ids)))


def test_each_item_is_a_sound_and_an_image_of_one_digit(home):
    write_digits(home)
    data = load()
    assert len(data.item_ids) == 60
    assert data.item_ids[:3].to_list() == ["0_ann_0", "0_ann_1", "0_bob_0"]
    assert data.media["image"].medium is Medium.IMAGE
    assert data.media["audio"].medium is Medium.AUDIO
    assert data.labels.names == [str(digit) for digit in range(10)]
    assert [len(part.items) for part in parts(data)] == [20, 20, 20]
    assert_sound(data)
    assert len(set(data.media["image"].entries)) == 60


def test_where_there_are_more_sounds_than_images_the_splits_still_share_none(home):
    write_digits(home, speakers=("ann", "bob", "cat", "dan"), takes=60)
    data = load(test=2)
    assert [len(part.items) for part in parts(data)] == [600, 600, 1200]
    assert_sound(data)


def test_the_seed_deals_speakers_and_images(home):
    write_digits(home, speakers="abcdef")
    one, same = load(), load()
    assert one.fingerprint == same.fingerprint
    assert one.media == same.media
    speakers = set()
    for seed in range(8):
        other = load(seed=seed)
        speakers |= of_parts(other, [item.split("_")[1] for item in other.item_ids])[2]
        assert (other.fingerprint == one.fingerprint) == (seed == 0)
    assert len(speakers) > 1


def test_the_recordings_may_be_the_folder_itself(home):
    write_digits(home)
    data = load(path="digits/recordings")
    assert data.fingerprint == load().fingerprint


def test_the_published_recordings():
    shared = os.environ.get("FUSIONLAB_SHARED")
    if shared is None:
        pytest.skip("FUSIONLAB_SHARED names no folder with data/spoken-digits")
    data = AVDigits(path=f"{shared}/data/spoken-digits").load()
    assert [len(part.items) for part in parts(data)] == [600, 200, 400]
    assert_sound(data)
