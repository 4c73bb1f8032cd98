"""Files that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from fusionlab.errors import FusionlabError


def write_whole(path: Path, content: bytes) -> Path:
    """Write ``content`` beside ``path`` and rename it there: nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def writable(path: Path) -> None:
    """Make the folder of a file that is to be written after long work; FusionlabError if one
    cannot write there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid4().hex}")
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise FusionlabError(f"{path}: cannot be written ({error.strerror})") from None
