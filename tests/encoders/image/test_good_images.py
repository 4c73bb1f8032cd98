"""Every mode, orientation and format of sound files gives the picture that was saved."""

import numpy as np
import pytest
from pictures import encoded, noise, pixels
from PIL import Image

from fusionlab.encoders.image.reading import ORIENTATION, read_image

UPRIGHT = noise(30, 20)


def close(found, wanted, tolerance=0):
    assert found.size == wanted.size
    assert np.abs(pixels(found) - pixels(wanted)).mean() <= tolerance


@pytest.mark.parametrize(
    ("form", "tolerance"),
    [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("PPM", 0), ("JPEG", 10), ("WEBP", 10), ("GIF", 20)],
)
@pytest.mark.parametrize("name", ["right", "picture.jpg", "picture.txt"])
def test_formats_under_any_name(form, tolerance, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(encoded(UPRIGHT, form))
    close(read_image(path), UPRIGHT, tolerance)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16"])
def test_opaque_modes(mode):
    form = {"CMYK": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    if mode == "I;16":
        saved = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 109)
    else:
        saved = UPRIGHT.convert(mode)
    found = read_image(encoded(saved, form))
    assert found.mode == ("L" if mode in ("1", "L", "I;16") else "RGB")
    if mode == "I;16":
        np.testing.assert_array_equal(pixels(found), np.round(pixels(saved) / 257))
    else:
        close(found, saved.convert(found.mode), 10 if form == "JPEG" else 0)


def test_sixteen_bits_of_other_formats():
    values = np.array([[0, 255, 256], [32_896, 65_000, 65_535]], np.uint16)
    for form in ("PPM", "TIFF"):
        found = read_image(encoded(Image.fromarray(values), form))
        assert pixels(found).tolist() == [[0, 1, 1], [128, 253, 255]]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "L", "RGB"])
def test_transparency(mode):
    clear = Image.new("L", UPRIGHT.size, 255)
    clear.paste(0, (0, 0, 10, 20))
    if mode in ("LA", "RGBA"):
        saved = UPRIGHT.convert(mode)
        saved.putalpha(clear)
        found = read_image(encoded(saved))
        np.testing.assert_array_equal(pixels(found)[..., 3], pixels(clear))
        return
    clear_value = (7, 8, 9) if mode == "RGB" else 7
    saved = Image.new(mode, (3, 1))
    if mode == "P":
        saved.putpalette(range(240), "RGB")
    saved.putpixel((1, 0), clear_value)
    found = read_image(encoded(saved, transparency=clear_value))
    assert pixels(found)[0, :, 3].tolist() == [255, 0, 255]


def test_clear_value_of_sixteen_bits():
    values = np.array([[5, 1000, 65_535]], np.uint16)
    found = read_image(encoded(Image.fromarray(values), transparency=1000))
    assert pixels(found).tolist() == [[[0] * 3 + [255], [4] * 3 + [0], [255] * 4]]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(form):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert read_image(content).convert("RGB").getpixel((4, 4)) == pytest.approx((255, 0, 0), abs=3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_noted(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(encoded(UPRIGHT, form, exif=exif))
    assert found.info == {ORIENTATION: orientation}
    assert found.size == UPRIGHT.size


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_damaged_exif_is_upright(exif):
    found = read_image(encoded(UPRIGHT, "JPEG", exif=exif))
    assert found.info == {ORIENTATION: 1}


def test_orientation_out_of_range_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert read_image(encoded(UPRIGHT, "JPEG", exif=exif)).info == {ORIENTATION: 1}
