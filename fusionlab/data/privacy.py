"""Users under pseudonyms, and users whose rows are not read."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from fusionlab.data.tables import Table
from fusionlab.errors import FusionlabError
from fusionlab.schema import Section
from fusionlab.sections import Options

FROM_ENVIRONMENT = "env:"
SHORTEST_KEY = 16
DIGITS = 32


@dataclass(frozen=True)
class Pseudonyms:
    """Names that only the holder of the key can make: the first 128 bits of HMAC-SHA-256(key, id),
    in hexadecimal digits."""

    key: bytes = field(repr=False)

    def of(self, user: str) -> str:
        """The pseudonym of a user, by their id in the data."""
        return hmac.digest(self.key, user.encode(), "sha256").hex()[:DIGITS]

    @property
    def fingerprint(self) -> str:
        """Which key this is, without telling it."""
        return hmac.digest(self.key, b"\0which key", "sha256").hex()[:DIGITS]


class Privacy(Options):
    """What is known of users. Neither the key nor an id that it hides is in any record."""

    hash_key: str | None = Field(
        None,
        description="a file, or env:NAME, an environment variable, with a secret of 16 bytes or "
        "more: users are known by hashes (HMAC-SHA-256) under it, everywhere",
    )
    without_users: str | None = Field(
        None,
        description="a file of users, an id (or its hash) a line: as if they had never been in the "
        "data",
    )

    def pseudonyms(self) -> Pseudonyms | None:
        """Under the key; None if there is none. FusionlabError: it cannot be read or is short."""
        if self.hash_key is None:
            return None
        place = f"dataset.privacy.hash_key: {self.hash_key}"
        if self.hash_key.startswith(FROM_ENVIRONMENT):
            key = os.environ.get(self.hash_key.removeprefix(FROM_ENVIRONMENT), "").encode()
        else:
            key = _read(Path(self.hash_key), place)
        key = key.strip()
        if len(key) < SHORTEST_KEY:
            raise FusionlabError(
                f"{place}: found {len(key)} bytes, expected a secret of {SHORTEST_KEY} or more"
            )
        return Pseudonyms(key)

    def people(self, table: Table, user: str) -> Table:
        """The rows of ``table`` that may be read, with users (column ``user``) as they are known.

        The rows of others are gone before anything is counted, drawn or catalogued.
        """
        pseudonyms, gone = self.pseudonyms(), self._gone()
        if pseudonyms is None and not gone:
            return table
        table.require(user)
        ids = table.ids(user)
        names = ids
        if pseudonyms is not None:
            distinct = ids.unique()
            hashed = [pseudonyms.of(one) for one in distinct]
            names = ids.replace_strict(distinct, hashed, return_dtype=pl.String)
        kept = ~(ids.is_in(gone) | names.is_in(gone))
        rows = pl.int_range(len(table), eager=True) if table.rows is None else table.rows
        frame = table.frame.with_columns(names.alias(user)).filter(kept)
        return replace(table, frame=frame, rows=rows.filter(kept))

    def absent(self) -> set[str]:
        """Every name, be it an id or the pseudonym of one, of who is as if never there."""
        gone = self._gone()
        pseudonyms = self.pseudonyms() if gone else None
        return {*gone} | (set() if pseudonyms is None else {*map(pseudonyms.of, gone)})

    def _gone(self) -> list[str]:
        if self.without_users is None:
            return []
        place = f"dataset.privacy.without_users: {self.without_users}"
        lines = _read(Path(self.without_users), place).decode("utf-8-sig", "replace").splitlines()
        return sorted({line.strip() for line in lines} - {""})


PrivacyOptions = Annotated[Privacy, Section(Privacy)]
OPEN = Privacy()
"""Every row, ids as they are."""


def _read(file: Path, place: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FusionlabError(f"{place}: cannot be read ({error.strerror})") from None
