"""The hashes of files that have not changed, without reading the files again."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import polars as pl

from fusionlab.data.disk import whole, writing
from fusionlab.data.media import Raw, content_hash
from fusionlab.data.table_files import BROKEN

RACY_NS = 3_000_000_000
"""A file touched so short before it is hashed may change once more within a tick of its clock."""

KNOWN = {"path": pl.String, "known": pl.Binary}


class ContentHashes:
    """`content_hash`, remembered in ``file`` for what is a file, by path.

    A hash counts as long as the file's size, inode and times (of the content, and of anything at
    all: st_mtime, st_ctime) are what they were. Not remembered is a file touched less than 3
    seconds before, or while it was read (the rule of git's index). What changes a file and leaves
    all four as they were, such as a clock that was set back, is not seen: delete ``file`` then, as
    one may at any time.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.new = file, dict[str, bytes]()
        self.known = self._read()

    def of(self, raw: Raw) -> str:
        """The hash; raises what `content_hash` raises."""
        if not isinstance(raw, Path):
            return content_hash(raw)
        path, stamp, started = os.path.abspath(raw), _stamp(raw.stat()), time.time_ns()
        known = self.known.get(path, b"")
        if known.startswith(stamp):
            return known[len(stamp) :].hex()
        found, after = content_hash(raw), raw.stat()
        if _stamp(after) == stamp and started - max(after.st_mtime_ns, after.st_ctime_ns) > RACY_NS:
            self.new[path] = stamp + bytes.fromhex(found)
        return found

    def save(self) -> None:
        """Add what is new to the file, which stays whole whoever else writes it."""
        if not self.new:
            return
        known = self._read() | self.new
        table = pl.DataFrame({"path": [*known], "known": [*known.values()]})
        with writing(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with whole(self.file, shared=True) as draft:
                table.write_parquet(draft)

    def _read(self) -> dict[str, bytes]:
        try:
            found = pl.read_parquet(self.file, glob=False)
        except (OSError, *BROKEN):  # not there, or cut off: then all are new
            return {}
        return dict(found.drop_nulls().iter_rows()) if found.schema == KNOWN else {}


def _stamp(found: os.stat_result) -> bytes:
    values = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    return struct.pack("<qqqQ", *values)
