"""The tab that listens: one list, and what its user said."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any
from uuid import uuid4

import gradio as gr

from fusionlab.errors import FusionlabError
from fusionlab.explorer.cards import alert, note
from fusionlab.explorer.feedback import ACTIONS, Listing, Listings, act_on, log_html, undo
from fusionlab.explorer.recommend import Question, list_html
from fusionlab.explorer.state import Explorer
from fusionlab.explorer.widgets import (
    EVERY,
    QUIET,
    READING,
    another_user,
    first_user,
    own_html,
    status,
    strategies,
    text_in,
    told_by,
    untrained_box,
    user_picker,
)
from fusionlab.serving.ids import SHOWN

SAYING = {**EVERY, "concurrency_id": "feedback"}
Asked = tuple[int, str]
"""Of which board, and whose list is asked for: what is typed counts once Enter is pressed."""
Known = tuple[int, str | None, str]
"""Board, strategy and user of the list on the page."""


def feedback_tab(explorer: Explorer, board: gr.State, tab: gr.Tab, heard: gr.State) -> None:
    """One list that listens; ``heard`` is another value after each thing that was said."""
    first: Asked = (0, first_user(explorer, 0))
    seen: Known = (0, strategies(explorer, 0, 0)["value"], first[1])
    asked, known, again = gr.State(first), gr.State(seen), gr.State("")
    with gr.Row(elem_classes="fl-row"):
        user, another = user_picker(explorer, "who-feedback")
        label = gr.Dropdown(label="Strategy", **strategies(explorer, 0, 0))
        untrained = untrained_box()
        back = gr.Button("Undo", size="sm", scale=0, min_width=130)
    said = own_html("feedback-said")
    said.value = status("")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            listed = own_html("feedback-list")
        with gr.Column(scale=2, min_width=260):
            log = own_html("feedback-log")
    listening = Listening(explorer)
    # one event for all that is shown: a page asks for it once at a time, and at last for the newest
    changed = [board.change, tab.select, again.change, heard.change, untrained.input]
    shown = [known, asked, user, label, said, listed, log]
    gr.on(changed, listening.shown, [board, known, asked, label, untrained], shown, **READING)

    def entered(index: int, user: object) -> tuple[Asked, str, str]:
        return (index, text_in(user).strip()), uuid4().hex, status("")

    def drawn(index: int, user: str) -> tuple[str, Asked, str, str]:
        new = another_user(explorer, index, user)
        return new, *entered(index, new)

    asking = [asked, again, said]
    gr.on([user.submit, label.input], entered, [board, user], asking, **QUIET)
    another.click(drawn, [board, user], [user, *asking], **QUIET)
    listed.act(listening.acted, None, [said, heard], **SAYING)
    back.click(listening.undone, known, [said, heard], **SAYING)


@dataclass(frozen=True)
class Listening:
    """What the tab shows, and what it does with what is said."""

    explorer: Explorer
    listings: Listings = field(default_factory=Listings)

    def shown(
        self, index: int, known: Known, asked: Asked, label: str | None, untrained: bool
    ) -> list[Any]:
        """What is known, what is asked, the widgets user and strategy, what was said, the list, and
        the log: of another board than the last one nothing that was chosen counts."""
        changes = [gr.skip() for _ in range(4)]
        if asked[0] != index:
            asked = (index, first_user(self.explorer, index))
            changes[:2] = [asked, asked[1]]
        if known[0] != index:
            choices = strategies(self.explorer, index, 0)
            label = choices["value"]
            changes[2:] = [gr.update(**choices), status("")]
        return [(index, label, asked[1]), *changes, *self.views(index, label, asked[1], untrained)]

    def views(self, index: int, label: str | None, user: str, untrained: bool) -> tuple[str, str]:
        """The list and the log."""
        if label is None:
            return note("this board has nobody to listen to"), ""
        listed = list_html(
            self.explorer,
            index,
            label,
            Question(user, untrained=untrained),
            actions=ACTIONS,
            named=lambda items: self.listings.add(Listing(index, label, user, tuple(items))),
        )
        whose = f"<small>by {escape(user[:SHOWN])}</small>" if user else ""
        heading = f'<h3 class="fl-heading">What was said {whose}</h3>'
        return listed, heading + log_html(self.explorer, index, label, user)

    def acted(self, event: gr.EventData) -> tuple[str, Any]:
        """Log it; what is told of it, and that something was heard."""
        name, kind, item = (told_by(event, key) for key in ("list", "act", "item"))
        try:
            of = act_on(self.explorer, self.listings, name, kind, item)
        except FusionlabError as error:
            return alert(str(error)), gr.skip()
        return status(f"{kind} of {self._title(of.board, item)}, by {of.user}"), uuid4().hex

    def undone(self, known: Known) -> tuple[str, Any]:
        """Take back the latest of the user whose list is on the page."""
        index, label, user = known
        if label is None:
            return status(""), gr.skip()
        try:
            event = undo(self.explorer, index, label, user)
        except FusionlabError as error:
            return alert(str(error)), gr.skip()
        title = self._title(index, event.item)
        return status(f"taken back: {event.kind} of {title}, by {user}"), uuid4().hex

    def _title(self, index: int, item: str) -> str:
        catalogue = self.explorer.catalogue(index)
        row = None if catalogue is None else catalogue.rows.get(item)
        return item if catalogue is None or row is None else catalogue.title(row)
