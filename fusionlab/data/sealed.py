"""Files that know their own digest: what was cut off or changed is not read for what it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from fusionlab.data.disk import whole, writing
from fusionlab.data.fingerprint import file_fingerprint
from fusionlab.errors import FusionlabError

SEAL, SUMS = "sha256", "SHA256SUMS"
"""A key of a JSON object; a file that names the digests of those beside it."""
IN_WORK = "in-work"
"""In the place of a digest: the file is being replaced, so it may be the old one or the new."""


def sealed(data: dict[str, Any]) -> str:
    """``data`` as JSON, beside the SHA-256 of all of it."""
    plain = json.loads(json.dumps(data))
    return json.dumps({**plain, SEAL: _digest(plain)}, indent=1)


def unsealed(text: str) -> dict[str, Any]:
    """What `sealed` wrote; data without a seal, of before there were any, are taken as they are.

    Raises:
        ValueError: no JSON, no object, or not what was written.
    """
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"found a {type(data).__name__}, expected an object")
    seal = data.pop(SEAL, None)
    if seal not in (None, _digest(data)):
        raise ValueError("it was changed since it was written")
    return data


def has_seal(text: str) -> bool:
    """Was this JSON object written by `sealed`?"""
    return SEAL in json.loads(text)


def _digest(data: dict[str, Any]) -> str:
    return sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write down the SHA-256 of files of ``folder``, for `intact` and for ``sha256sum -c``."""
    note_sums(folder, {name: file_fingerprint(folder / name) for name in names})


def note_sums(folder: Path, digests: Mapping[str, str]) -> None:
    """Write down digests by name, in the place of all that are there; no file is read."""
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    file = folder / SUMS
    with writing(file), whole(file) as draft:
        draft.write_text(text)


def sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of files of ``folder``, by name, as they were written down; none if never."""
    file = folder / SUMS
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def check_listed(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder that has lost the digests of files, which `intact` would then not look at.

    Raises:
        FusionlabError: there are none, or some are not named.
    """
    known = sums(folder)
    if lost := [name for name in names if name not in known]:
        raise FusionlabError(
            f"{folder / SUMS}: found no SHA-256 of {', '.join(lost)}, expected one of each file of "
            "the run; delete the folder and run again"
        )


def intact(file: Path) -> Path:
    """``file``, if it is what was written down of it, or nothing was.

    Raises:
        FusionlabError: it has changed since, or is gone.
    """
    wanted = sums(file.parent).get(file.name)
    if wanted is not None and not file.is_file():
        raise FusionlabError(
            f"{file}: not found, expected the file that {SUMS} names; delete the folder and run "
            "again"
        )
    if wanted not in (None, IN_WORK) and file_fingerprint(file) != wanted:
        raise FusionlabError(
            f"{file}: was cut off or changed since it was written (its SHA-256 is not that of "
            f"{SUMS}); delete the folder and run again"
        )
    return file
