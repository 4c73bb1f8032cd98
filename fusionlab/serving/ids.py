"""Ids that people type."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fusionlab.errors import FusionlabError, nearest

COMPARED = 10_000
"""Names among which the nearest one is looked for."""
SHOWN = 80
"""Characters of an id that a message repeats."""


def require_known(what: str, found: str, known: Collection[str] | None) -> None:
    """Refuse an id that is not ``known``, and name the nearest one."""
    if known is None or found in known:
        return
    half = found[: max(1, len(found) // 2)]
    alike: Sequence[str] = [name for name in known if name.startswith(half)] or [*known]
    near = nearest(found, alike[:COMPARED])
    told = repr(found) if len(found) <= SHOWN else f"{found[:SHOWN]!r}… ({len(found):,} characters)"
    raise FusionlabError(f"{what}: found {told}, expected one of {len(known):,} ids{near}")
