"""From events to words: what each user thinks of each item by now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fusionlab.serving.events import Event, Kind, standing


@dataclass(frozen=True, slots=True)
class Word:
    """``liked``: None if the item was seen and nothing said of liking; ``time`` and ``context`` of
    that word."""

    user: str
    item: str
    liked: bool | None
    time: float
    context: Any = None


def last_words(events: Iterable[Event], min_rating: float | None) -> list[Word]:
    """The last word of each user on each item, in the order in which these words first stood.

    A click or a like likes and a dislike does not; a rating likes if it is ``min_rating`` at least,
    and says nothing of liking without one. Impressions are no words, nor is what was taken back
    (`standing`). What is said again stays where it was.
    """
    words: dict[tuple[str, str], Word] = {}
    for event in standing(events):
        pair, liked = (event.user, event.item), _liked(event, min_rating)
        before = words.get(pair)
        if before is not None and liked in (None, before.liked):
            continue
        words.pop(pair, None)
        words[pair] = Word(event.user, event.item, liked, event.time or 0.0, event.context)
    return [*words.values()]


def _liked(event: Event, min_rating: float | None) -> bool | None:
    if event.kind != Kind.RATING:
        return event.kind in (Kind.CLICK, Kind.LIKE)
    if min_rating is None or event.rating is None:
        return None
    return event.rating >= min_rating
