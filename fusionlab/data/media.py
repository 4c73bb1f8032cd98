"""Raw media of items: text strings, image files, sound files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import file_digest, sha256
from pathlib import Path
from stat import S_ISDIR, S_ISREG

Raw = str | Path | bytes
"""What one item has: text is a string; an image or a sound is a file, or the bytes of one."""


class Medium(StrEnum):
    """What kind of thing a column of raw media holds."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"


@dataclass(frozen=True)
class Media:
    """One column of raw media: an entry an item of the catalogue, None where there is none."""

    medium: Medium
    entries: Sequence[Raw | None]

    def __len__(self) -> int:
        return len(self.entries)

    def take(self, rows: Sequence[int]) -> Media:
        """The entries of the items ``rows``."""
        return Media(self.medium, [self.entries[row] for row in rows])


MAX_BYTES = 1 << 31
"""No picture, text or sound of an item is larger than 2 GiB."""


def content_hash(raw: Raw) -> str:
    """SHA-256 (hex) of the content, whatever the file is called.

    Raises OSError where the file cannot be read, ValueError where it is no file (a pipe would block
    for ever) or has more than `MAX_BYTES`.
    """
    if not isinstance(raw, Path):
        return sha256(raw.encode() if isinstance(raw, str) else raw).hexdigest()
    with checked(raw).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def checked(file: Path) -> Path:
    """``file``, if it can be read to its end; raises what `content_hash` raises."""
    found = file.stat()
    if not (S_ISREG(found.st_mode) or S_ISDIR(found.st_mode)):
        raise ValueError("it is no file")
    if found.st_size > MAX_BYTES:
        raise ValueError(f"it has {found.st_size:,} bytes, more than {MAX_BYTES:,}")
    return file


def content_size(raw: Raw | None) -> int:
    """Bytes of a file, characters of a text; 0 where there is nothing to be read."""
    if not isinstance(raw, Path):
        return len(raw or "")
    try:
        return raw.stat().st_size
    except OSError:
        return 0
