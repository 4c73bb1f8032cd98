"""What people said of items, and what of it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Kind(StrEnum):
    """What happened. ``undo`` takes back the user's latest event on the item that still stands."""

    IMPRESSION = "impression"
    CLICK = "click"
    LIKE = "like"
    RATING = "rating"
    DISLIKE = "dislike"
    UNDO = "undo"


SAID = frozenset(Kind) - {Kind.IMPRESSION}
"""What people did; an impression is what was done to them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``time`` in seconds since 1970 (None: when it is logged); ``list`` names the list
    that was shown; ``context`` is anything that JSON can hold."""

    kind: str
    user: str
    item: str
    time: float | None = None
    rating: float | None = None
    list: str | None = None
    context: Any = None


class Events(Protocol):
    """Where events are found: a feedback log, or what stands for one."""

    def events(self, user: str | None = None, kinds: Collection[str] = ()) -> list[Event]:
        """In the order in which they were logged: of one user, of some kinds, or all."""


def standing(events: Iterable[Event]) -> list[Event]:
    """What is not taken back, of events in the order in which they were logged; no impressions."""
    kept: dict[int, Event] = {}
    places: dict[tuple[str, str], list[int]] = {}
    for place, event in enumerate(events):
        of_pair = places.setdefault((event.user, event.item), [])
        if event.kind == Kind.UNDO:
            if of_pair:
                del kept[of_pair.pop()]
        elif event.kind in SAID:
            kept[place] = event
            of_pair.append(place)
    return [*kept.values()]
