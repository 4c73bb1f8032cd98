"""Files of several pictures: the first one is read, and damage behind it may go unseen."""

import numpy as np
import pytest
from pictures import encoded, noise, pixels
from PIL import Image

from fusionlab.encoders.contract import BadMedia
from fusionlab.encoders.image.reading import read_image

FRAMES = [noise(30, 20, seed=seed) for seed in range(3)]
OTHERS = [noise(30, 20, seed=seed) for seed in range(3, 6)]
CHECKED_WHOLE = ["WEBP", "PNG"]
READ_TO_THE_FIRST = ["GIF", "TIFF", "MPO"]


def animated(form, first, rest):
    rest = [frame.copy() for frame in rest]  # Pillow leaves settings of a format on what it saved
    return encoded(first.copy(), form, save_all=True, append_images=rest)


@pytest.mark.parametrize("form", CHECKED_WHOLE + READ_TO_THE_FIRST)
def test_later_frames_count_for_nothing(form):
    found = read_image(animated(form, FRAMES[0], FRAMES[1:]))
    assert found.size == (30, 20)
    assert np.abs(pixels(found) - pixels(FRAMES[0])).mean() < 10
    other = read_image(animated(form, FRAMES[0], OTHERS))
    assert np.array_equal(pixels(found), pixels(other))


@pytest.mark.parametrize("form", CHECKED_WHOLE)
def test_a_file_cut_in_a_later_frame_is_corrupt(form):
    content = animated(form, FRAMES[0], FRAMES[1:])
    with pytest.raises(BadMedia, match="cannot be decoded"):
        read_image(content[:-40])


@pytest.mark.parametrize("form", READ_TO_THE_FIRST)
def test_or_its_damage_is_not_seen(form):
    content = animated(form, FRAMES[0], FRAMES[1:])
    assert np.array_equal(pixels(read_image(content[:-40])), pixels(read_image(content)))


def test_what_the_first_frame_leaves_clear_is_transparent():
    first = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    first.putpixel((3, 3), (255, 0, 0, 255))
    found = read_image(animated("GIF", first, [Image.new("RGBA", (8, 8), "green")]))
    assert found.getpixel((3, 3)) == (255, 0, 0, 255)
    assert found.getpixel((0, 0))[3] == 0


def test_the_largest_picture_of_an_icon():
    assert read_image(encoded(noise(64, 64), "ICO", sizes=[(16, 16), (48, 48)])).size == (48, 48)
