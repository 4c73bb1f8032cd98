"""Clicks, likes and dislikes in the log of the feedback commands, and back again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from threading import Lock
from uuid import uuid4

from fusionlab.errors import FusionlabError, one_of
from fusionlab.explorer.cards import note
from fusionlab.explorer.catalogue import Catalogue
from fusionlab.explorer.run_log import log_of
from fusionlab.explorer.state import Explorer
from fusionlab.serving.events import SAID, Event, Kind, standing

ACTIONS = {"Count a click": Kind.CLICK, "Like": Kind.LIKE, "Dislike": Kind.DISLIKE}
"""What stands on the buttons of a card, and what is logged."""
TOLD = 20
"""So many events are shown, the latest."""
LISTS = 5000
"""So many lists are remembered, the last that were made."""


@dataclass(frozen=True)
class Listing:
    """A list that was shown: whose, by which row of which board, and its items."""

    board: int
    label: str
    user: str
    items: tuple[str, ...]


class Listings:
    """Lists by name, so that what is said on one counts for its user and items, whatever a browser
    says besides; any number of threads may ask at once."""

    def __init__(self) -> None:
        self._lists: OrderedDict[str, Listing] = OrderedDict()
        self._lock = Lock()

    def add(self, listing: Listing) -> str:
        """The name that the list has from now on."""
        name = uuid4().hex
        with self._lock:
            self._lists[name] = listing
            while len(self._lists) > LISTS:
                self._lists.popitem(last=False)
        return name

    def named(self, name: str) -> Listing:
        """The list of this name.

        Raises:
            FusionlabError: there is none, or it was made too long ago.
        """
        with self._lock:
            if name not in self._lists:
                raise FusionlabError("this list is not known any more: Enter makes it anew")
            return self._lists[name]


def act_on(explorer: Explorer, listings: Listings, name: str, kind: str, item: str) -> Listing:
    """Log what the user of a list did with one of its items; the list.

    Raises:
        FusionlabError: as of `act`, an unknown list, or an item of another one.
    """
    of = listings.named(name)
    if item not in of.items:
        raise FusionlabError(f"item: {one_of(item, of.items)}")
    act(explorer, of.board, of.label, of.user, kind, item, of.items, name)
    return of


def act(
    explorer: Explorer,
    board: int,
    label: str,
    user: str,
    kind: str,
    item: str,
    shown: Sequence[str] = (),
    name: str | None = None,
) -> None:
    """Log what ``user`` did with ``item``.

    ``name`` is that of the list it stood in and ``shown`` are its items; they are logged as
    impressions together with the first event on the list. Looking alone logs nothing, and what
    stands already of the same kind, item and list is not said twice.

    Raises:
        FusionlabError: an unknown action, user or item, or a log that cannot be written.
    """
    if kind not in ACTIONS.values():
        raise FusionlabError(f"action: {one_of(kind, map(str, ACTIONS.values()))}")
    with explorer.service(board, label) as service:
        log = log_of(service)
        event = Event(kind, user, item, list=name)
        if name and any(_same(event, one) for one in standing(log.events(user, SAID))):
            return
        seen = any(one.list == name for one in log.events(user, [Kind.IMPRESSION]))
        new = [] if seen else dict.fromkeys(shown)
        log.add(*(Event(Kind.IMPRESSION, user, one, list=name) for one in new), event)


def undo(explorer: Explorer, board: int, label: str, user: str) -> Event:
    """Take back the last thing a user did.

    Raises:
        FusionlabError: there is nothing (left) to take back, or a log that cannot be read or
            written.
    """
    with explorer.service(board, label) as service:
        log = log_of(service)
        done = standing(log.events(user, SAID))
        if log.fault:
            raise FusionlabError(log.fault)
        if not done:
            raise FusionlabError(f"undo: found nothing of {user!r} that is left to take back")
        log.add(Event(Kind.UNDO, user, done[-1].item))
        return done[-1]


def log_html(explorer: Explorer, board: int, label: str, user: str) -> str:
    """What stands in the log of a user, the latest first."""
    try:
        with explorer.service(board, label) as service:
            log = log_of(service)
            events = standing(log.events(user, SAID))
        if log.fault:
            raise FusionlabError(log.fault)
        catalogue = explorer.catalogue(board)
        assert catalogue is not None
    except FusionlabError:
        return ""  # the list beside it says what is wrong
    if not events:
        return note(
            "nothing yet: say of what stands in the list whether it is clicked, liked or disliked"
        )
    rows = "".join(_row(catalogue, event) for event in events[::-1][:TOLD])
    return f'<ol class="fl-log" aria-label="Log of {escape(user)}">{rows}</ol>'


def _same(one: Event, other: Event) -> bool:
    return (one.kind, one.item, one.list) == (other.kind, other.item, other.list)


def _row(catalogue: Catalogue, event: Event) -> str:
    row = catalogue.rows.get(event.item)
    title = event.item if row is None else catalogue.title(row)
    rating = "" if event.rating is None else f" {event.rating:g}"
    return (
        f'<li><span class="fl-kind fl-{escape(event.kind)}">{escape(event.kind)}{rating}</span> '
        f"{escape(title)}</li>"
    )
