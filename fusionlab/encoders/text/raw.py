"""Raw content of a text column to a string."""

from __future__ import annotations

from pathlib import Path

from fusionlab.data.media import Raw, checked
from fusionlab.encoders.contract import BadMedia, Fault

LONGEST = 1_000_000
"""Characters; what is longer is not the text of an item (a dump, a file in the wrong column)."""


def text_of(raw: Raw) -> str:
    """The text, from a string, or from a file or bytes in UTF-8; raises `BadMedia`."""
    try:
        content = checked(raw).read_bytes() if isinstance(raw, Path) else raw
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        text.encode()
    except OSError as error:
        raise BadMedia(Fault.MISSING, f"the file cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise BadMedia(Fault.CORRUPT, "not valid Unicode") from None
    except ValueError as error:
        raise BadMedia(Fault.CORRUPT, f"the file cannot be read: {error}") from None
    if not text.strip():
        raise BadMedia(Fault.MISSING, "the text is empty")
    if len(text) > LONGEST:
        raise BadMedia(Fault.CORRUPT, f"{len(text):,} characters, at most {LONGEST:,} are read")
    return text
