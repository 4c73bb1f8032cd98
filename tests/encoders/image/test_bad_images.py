"""Files that are no good: each with the right fault and a reason, none crashes, none passes."""

import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, noise, pixels
from PIL import Image, ImageFile

from fusionlab.encoders.contract import BadMedia, Fault
from fusionlab.encoders.image.reading import MAX_SIDE, read_image
from fusionlab.errors import FusionlabError


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_of_zeros(width, height):
    """A valid PNG header; its rows are black, as many as fit into a few kilobytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(height * (width + 1), 1 << 22)))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def spoiled(content, place, by=200):
    changed = bytearray(content)
    start = int(len(changed) * place)
    changed[start : start + by] = np.random.default_rng(0).bytes(by)
    return bytes(changed)


def cut(content, share=0.5):
    return content[: int(len(content) * share)]


JPEG, PNG = encoded(noise(200, 160), "JPEG"), encoded(noise())
TIFF = encoded(noise(), "TIFF", compression="tiff_lzw")
BOMB = png_of_zeros(60_000, 60_000)
CORRUPT = {
    "empty.jpg": (b"", "zero bytes"),
    "text.jpg": (b"not a picture at all\n" * 50, "no image"),
    "html.png": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "no image"),
    "vector.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
    "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "no image"),
    "zeros.jpg": (bytes(4096), "no image"),
    "random.png": (np.random.default_rng(1).bytes(4096), "no image"),
    "one_byte.gif": (b"G", "no image"),
    "magic_only.jpg": (b"\xff\xd8\xff", "no image"),
    "magic_only.png": (PNG[:8], "no image"),
    "cut.jpg": (cut(JPEG), "truncated"),
    "cut_late.jpg": (cut(JPEG, 0.95), "truncated"),
    "end_missing.jpg": (JPEG[:-2], "truncated"),
    "tail_zeroed.jpg": (cut(JPEG) + bytes(len(JPEG) // 2), "truncated"),
    "cut_progressive.jpg": (cut(encoded(noise(), "JPEG", progressive=True)), "truncated"),
    "cut.png": (cut(PNG), "truncated"),
    "cut_late.png": (cut(PNG, 0.95), "truncated"),
    "tail_zeroed.png": (cut(PNG) + bytes(len(PNG) // 2), ""),
    "cut.gif": (cut(encoded(noise(), "GIF")), "truncated"),
    "cut.webp": (cut(encoded(noise(), "WEBP")), "cannot be decoded"),
    "cut.bmp": (cut(encoded(noise(), "BMP")), "truncated"),
    "cut.tiff": (cut(encoded(noise(), "TIFF")), "truncated"),
    "cut.ppm": (cut(encoded(noise(), "PPM")), "truncated"),
    "cut.jp2": (cut(encoded(noise(), "JPEG2000")), ""),
    "spoiled_pixels.png": (spoiled(PNG, 0.5), "cannot be decoded"),
    "spoiled_header.png": (spoiled(PNG, 0.0, 16), "no image"),
    "one_bit.png": (PNG[:1000] + bytes([PNG[1000] ^ 1]) + PNG[1001:], "cannot be decoded"),
    "header_size.png": (PNG[:16] + bytes(8) + PNG[24:], ""),
    "no_pixels.png": (PNG[:8] + chunk(b"IHDR", PNG[16:29]) + chunk(b"IEND", b""), ""),
    "bomb.png": (BOMB, "decompression bomb"),
    "bomb.jpg": (BOMB, "decompression bomb"),
    "bigger_than_allowed.png": (png_of_zeros(10_000, 9_000), "decompression bomb"),
    "strip.png": (png_of_zeros(1, MAX_SIDE + 1), "decompression bomb"),
    "float.tiff": (encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "white is unknown"),
    "int32.tiff": (encoded(Image.new("I", (4, 4), 70_000), "TIFF"), "white is unknown"),
}


@pytest.mark.parametrize("name", CORRUPT)
@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.filterwarnings("error")
def test_corrupt(name, as_file, tmp_path):
    content, why = CORRUPT[name]
    raw = content
    if as_file:
        raw = tmp_path / name
        raw.write_bytes(content)
    with pytest.raises(BadMedia) as caught:
        read_image(raw)
    assert caught.value.fault is Fault.CORRUPT
    assert why in caught.value.why.lower()
    assert 0 < len(caught.value.why) < 150
    assert "\n" not in caught.value.why
    assert pickle.loads(pickle.dumps(caught.value)).why == caught.value.why


@pytest.mark.parametrize("share", [0.2, 0.9, 0.99])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_cut_tiff_whose_directory_is_at_the_end(share):
    with pytest.raises(BadMedia, match="corrupt"):
        read_image(cut(TIFF, share))


def test_missing(tmp_path):
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for name in ("none.jpg", "no/folder/none.jpg", "dangling.jpg"):
        with pytest.raises(BadMedia) as caught:
            read_image(tmp_path / name)
        assert (caught.value.fault, caught.value.why) == (Fault.MISSING, "no such file")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_file(device):
    """Of which there may be no end."""
    with pytest.raises(BadMedia, match="it is no file"):
        read_image(Path(device))


def test_a_folder_is_not_readable(tmp_path):
    with pytest.raises(BadMedia, match="directory") as caught:
        read_image(tmp_path)
    assert caught.value.fault is Fault.CORRUPT


def test_a_string_is_a_mistake_of_the_caller():
    with pytest.raises(FusionlabError, match="Path or bytes"):
        read_image("picture.png")


def test_truncated_stays_truncated_where_another_library_allowed_it(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(BadMedia, match="truncated"):
        read_image(cut(JPEG))


def test_limit_of_pixels_is_configurable_and_inclusive():
    assert read_image(PNG, max_pixels=48 * 40).size == (48, 40)
    with pytest.raises(BadMedia, match="48 x 40, more than 1,919 pixels"):
        read_image(PNG, max_pixels=48 * 40 - 1)


def test_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    for content in (BOMB, png_of_zeros(10_000, 9_000)):
        with pytest.raises(BadMedia, match="bomb"):
            read_image(content)


def test_cut_anywhere_is_whole_or_refused():
    """No prefix of a file gives a picture with anything but the right pixels."""
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        content = encoded(noise(20, 16), form)
        whole = pixels(read_image(content))
        for end in range(0, len(content), 7):
            try:
                found = read_image(content[:end])
            except BadMedia:
                continue
            np.testing.assert_array_equal(pixels(found), whole)


def test_no_file_stays_open(tmp_path):
    names = []
    for name, content in {
        "a.jpg": JPEG,
        "a.png": PNG,
        "a.tiff": TIFF,
        "bad.jpg": cut(JPEG),
    }.items():
        (tmp_path / name).write_bytes(content)
        names.append(tmp_path / name)
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    kept = []
    for path in names * 20:
        try:
            kept.append(read_image(path))
        except BadMedia as error:
            kept.append(error)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
    for path in names:
        path.unlink()
    assert all(one.getpixel((0, 0)) for one in kept if not isinstance(one, BadMedia))
