"""Is a table's file, byte for byte, what its run records say?"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from fusionlab.errors import FusionlabError, one_of
from fusionlab.reporting.report import FORMATS
from fusionlab.reporting.table import Table

SHOWN = 12
"""Lines of a difference that are printed."""


def check_file(file: Path, tables: Mapping[str, Table]) -> str:
    """The name of the table that ``file`` is, byte for byte.

    Raises:
        FusionlabError: no such file, a format that is none, or a file that is none of the tables:
            names the nearest and where they differ.
    """
    suffix = file.suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise FusionlabError(f"{file}: format: {one_of(suffix, FORMATS)}")
    try:
        found = file.read_bytes()
    except OSError as error:
        raise FusionlabError(f"{file}: cannot be read ({error.strerror})") from None
    built = {name: FORMATS[suffix](table).encode() for name, table in tables.items()}
    for name, content in built.items():
        if content == found:
            return name
    text = found.decode(errors="replace")
    lines = text.splitlines()
    near = file.stem if file.stem in built else _nearest(lines, built)
    expected = built[near].decode()
    diff = list(
        difflib.unified_diff(
            lines, expected.splitlines(), str(file), f"{near} from the records", n=0, lineterm=""
        )
    )
    if not diff:  # the same lines, ended by other bytes
        diff = [f"{len(found)} bytes found, {len(built[near])} expected: line ends differ"]
    more = [f"... {len(diff) - SHOWN} more lines"] if len(diff) > SHOWN else []
    listed = "\n".join([*diff[:SHOWN], *more])
    raise FusionlabError(f"{file}: is not what the run records say of {near}:\n{listed}")


def _nearest(lines: list[str], built: Mapping[str, bytes]) -> str:
    """The table that shares most lines."""
    seen = set(lines)
    return max(built, key=lambda name: len(seen & set(built[name].decode().splitlines())))
