"""Image files of any origin to plain 8-bit pictures, or the reason why not."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from fusionlab.data.media import Raw, checked
from fusionlab.encoders.contract import BadMedia, Fault
from fusionlab.errors import FusionlabError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF")
"""Formats that are read. Others that Pillow knows are documents or run programs (EPS)."""
MAX_PIXELS = 89_478_485
"""A quarter of a GiB in RGB: what Pillow warns of."""
MAX_PIXELS_ALLOWED = 2 * MAX_PIXELS
"""What Pillow itself refuses."""
MAX_SIDE = 65_535
"""The longest side that JPEG has. A strip 1 wide and millions high has few pixels before it is
resized and too many on the way."""
ORIENTATION = "orientation"
"""Key of ``image.info``: how EXIF says the picture is to be turned, 1 (upright) to 8."""
_EXIF_ORIENTATION = 0x0112


def read_image(raw: Raw, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The first frame of an image: 8-bit L, RGB or, where anything is transparent, RGBA.

    The format is recognised by content, whatever the file is called. Its header is checked before
    a pixel is decoded. ``image.info`` holds `ORIENTATION` and nothing else; the image refers to no
    file. 16-bit greyscale v becomes v / 257, rounded.

    Of an animation or a file of several pages (GIF, APNG, WebP, TIFF, MPO) the first frame is read,
    of an icon the largest picture; no later frame changes a feature, and what the first leaves
    clear is transparent. A file cut off in a later frame is CORRUPT where the format is checked as
    a whole (PNG, WebP), and as good as whole in the others.

    Raises `BadMedia`: MISSING where there is no file; CORRUPT where it cannot be read, is empty, is
    no image, ends too early, cannot be decoded, has more than ``max_pixels`` (at most
    `MAX_PIXELS_ALLOWED`) or a side above `MAX_SIDE`, or has 32-bit pixels, whose white is unknown.
    Damage that a format cannot tell from a picture (changed bytes of a BMP, or inside the scan of a
    JPEG, which holds no sum) is not seen.
    """
    data = _content(raw)
    from PIL import Image, ImageFile, UnidentifiedImageError

    ImageFile.LOAD_TRUNCATED_IMAGES = False  # where another library turned it on: grey for data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, max_pixels)
                if image.format == "PNG":  # decoding checks no sum: zeros for data would pass
                    image.verify()  # leaves nothing to decode
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                image.load()
                return _plain(image)
    except BadMedia:
        raise
    except UnidentifiedImageError:
        why = "no image, or its header is damaged"
    except Image.DecompressionBombError:
        why = f"decompression bomb: more than {max_pixels:,} pixels"
    except Exception as error:  # decoders fail on bad bytes in every way there is
        why = f"cannot be decoded: {str(error) or type(error).__name__}"
    raise BadMedia(Fault.CORRUPT, why)


def _content(raw: Raw) -> bytes:
    if isinstance(raw, str):
        raise FusionlabError(f"an image is a Path or bytes, found the string {raw[:80]!r}")
    try:
        data = checked(raw).read_bytes() if isinstance(raw, Path) else raw
    except FileNotFoundError:
        raise BadMedia(Fault.MISSING, "no such file") from None
    except OSError as error:
        raise BadMedia(Fault.CORRUPT, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadMedia(Fault.CORRUPT, f"cannot be read: {error}") from None
    if not data:
        raise BadMedia(Fault.CORRUPT, "empty: zero bytes")
    return data


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        why = f"decompression bomb: {width} x {height}, more than {max_pixels:,} pixels"
        raise BadMedia(Fault.CORRUPT, why)
    if max(size) > MAX_SIDE:
        why = f"decompression bomb: {width} x {height}, a side above {MAX_SIDE:,} pixels"
        raise BadMedia(Fault.CORRUPT, why)


def _plain(image: Image.Image) -> Image.Image:
    """A copy in mode L, RGB or RGBA that knows its orientation."""
    orientation = _orientation(image)
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    if sixteen_bits:
        plain = _eight_bits(image)
    elif image.mode in ("I", "F"):
        raise BadMedia(Fault.CORRUPT, "32-bit pixels: which value is white is unknown")
    elif image.has_transparency_data:
        plain = image.convert("RGBA")
    elif image.mode in ("1", "L"):
        plain = image.convert("L")
    else:
        plain = image.convert("RGB")
    plain.info = {ORIENTATION: orientation}
    return plain


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greyscale as L (``convert`` would clip it at 255), or RGBA if a value is clear."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if "transparency" in image.info:
        grey = grey.convert("RGB")
        seen = (values != image.info["transparency"]).astype(np.uint8) * 255
        grey.putalpha(Image.fromarray(seen))
    return grey


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged EXIF beside sound pixels: upright, as every viewer shows it
        return 1
    return found if found in range(1, 9) else 1
