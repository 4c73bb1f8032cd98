"""Who is recommended to: what each of them clicked, in training and since, and has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.serving.events import Event
from fusionlab.serving.last_words import last_words


@dataclass(frozen=True)
class Person:
    """``history``, rows of items that make the profile, oldest first; ``seen``, rows of items that
    are not recommended; ``row`` among the users of training, None for a stranger."""

    name: str | None
    row: int | None
    history: tuple[int, ...]
    seen: frozenset[int]
    changed: bool = False
    """Did the log change the history of training?"""


@dataclass(frozen=True)
class Asked:
    """People who ask for lists at once; ``described``, one item, stands in their histories as the
    row after all items, and is in no list. ``situation`` (1, n) is that of all who ask, if told."""

    people: Sequence[Person]
    described: ItemFeatures | None = None
    situation: Tensor | None = None


def known_person(
    name: str,
    row: int | None,
    interactions: Interactions,
    events: Iterable[Event],
    item_rows: Mapping[str, int],
    min_rating: float | None,
) -> Person:
    """A user of training, or, without a ``row``, somebody else, with the ``events`` of theirs.

    The history is that of training, then what was clicked or liked since (or rated ``min_rating``
    at least, where ratings were chosen so in training); what the user's latest word was a dislike
    of is in it no more. Seen are train and validation clicks, and whatever was clicked, liked,
    rated or disliked. What was taken back (`standing`) counts for nothing.
    """
    trained = [] if row is None else _items(interactions.train, row)
    before = [] if row is None else _items(interactions.valid, row)
    words = last_words(events, min_rating)
    # an item may not be given this time
    said = {item_rows[one.item]: one.liked for one in words if one.item in item_rows}
    seen = {*trained, *before, *said}
    history = [item for item in trained if said.get(item) is not False]
    history += [item for item, liked in said.items() if liked and item not in trained]
    changed = {*history} != {*trained}
    return Person(name, row, tuple(history), frozenset(seen), changed)


def _items(clicks: Clicks, row: int) -> list[int]:
    found: list[int] = clicks.items[clicks.indptr[row] : clicks.indptr[row + 1]].tolist()
    return found


def as_clicks(rows: Sequence[Sequence[int]], n_items: int) -> Clicks:
    """Rows of items, one a person, as clicks over ``n_items`` items."""
    people = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    return Clicks.from_pairs(people, items, len(rows), n_items)
