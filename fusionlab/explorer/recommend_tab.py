"""The tab of lists: two strategies side by side, for a user or for a profile put together here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import gradio as gr

from fusionlab.errors import FusionlabError
from fusionlab.explorer.cards import Shown, alert, card, cards, note
from fusionlab.explorer.reasons import Reasons
from fusionlab.explorer.recommend import Question, counted, history_html, list_html
from fusionlab.explorer.state import Explorer
from fusionlab.explorer.widgets import (
    EVERY,
    QUIET,
    READING,
    another_user,
    first_user,
    modalities,
    modalities_read,
    own_html,
    status,
    strategies,
    text_in,
    told_by,
    untrained_box,
    user_picker,
)

PAGE = 12
"""Items of the catalogue side by side."""
USER, PROFILE = "A user of the data", "A profile of your own"
At = tuple[int, str, int]
"""A page of the catalogue: board, words that were searched for, place of its first item."""
Liked = tuple[int, Sequence[str]]
"""A profile: board, and what of its catalogue was picked."""
PICKING = {**EVERY, "concurrency_id": "profile"}


def recommend_tab(
    explorer: Explorer,
    board: gr.State,
    page: gr.Blocks,
    tab: gr.Tab,
    heard: gr.State,
    reasons: Reasons | None,
) -> None:
    """Two strategies side by side for a user or a profile; ``heard`` is another value after
    feedback was given."""
    liked, known, drawn, told = gr.State((0, [])), gr.State(0), gr.State(""), gr.State("")
    with gr.Row(elem_classes="fl-row"):
        who = gr.Radio([USER, PROFILE], value=USER, label="Whose list", min_width=240)
        user, another = user_picker(explorer, "who-recommend")
        k = gr.Slider(5, 50, 10, step=5, label="Items", min_width=160)
    with gr.Accordion("Build a profile: pick what you like", open=False) as builder:
        browser(explorer, board, page, liked, who)
    with gr.Row():
        on = gr.CheckboxGroup(label="Modalities that count", **modalities(explorer, 0))
        untrained = untrained_box()
        worded = gr.Checkbox(label="Reasons in words", visible=reasons is not None)
    past = own_html("history")
    with gr.Row(equal_height=False):
        sides = []
        for place, name in enumerate(("left", "right")):
            with gr.Column(min_width=300):
                choice = gr.Dropdown(label=f"Strategy, {name}", **strategies(explorer, 0, place))
                sides.append((choice, own_html(f"list-{name}")))
    choices, places = [choice for choice, _ in sides], [place for _, place in sides]
    # one event for all that is shown: a page asks for it once at a time, and at last for the newest
    changed = [board.change, user.submit, k.change, on.input, untrained.input, worded.input]
    changed += [who.input, *(choice.input for choice in choices), page.load]
    changed += [liked.change, drawn.change, told.change]
    asked = [known, *choices, worded, board, who, user, liked, k, on, untrained]
    shown = [known, user, on, *choices, *places, past]
    gr.on(changed, Lists(explorer, reasons).shown, asked, shown, **READING)

    def another_one(index: int, user: str) -> tuple[str, str]:
        return another_user(explorer, index, user), uuid4().hex

    another.click(another_one, [board, user], [user, drawn], **QUIET)
    tab.select(lambda last: last, heard, told, **QUIET)

    def removed(index: int, liked: Liked, event: gr.EventData) -> Liked:
        return index, [item for item in _picked(index, liked) if item != told_by(event, "item")]

    past.act(removed, [board, liked], liked, **PICKING)
    who.change(lambda whose: gr.update(open=whose == PROFILE), who, builder, **QUIET)


@dataclass(frozen=True)
class Lists:
    """What the tab shows; ``given`` are its widgets: board, who, user, liked, k, on, untrained."""

    explorer: Explorer
    reasons: Reasons | None

    def shown(
        self, known: int, left: str, right: str | None, words: bool, *given: Any
    ) -> list[Any]:
        """Board, user, on, the strategies, both lists and the history: of another board than the
        ``known`` one nothing that was chosen counts."""
        index, changes = given[0], [gr.skip() for _ in range(4)]
        if index != known:
            explorer, user = self.explorer, first_user(self.explorer, index)
            read = modalities(explorer, index)
            sides = [strategies(explorer, index, place) for place in (0, 1)]
            changes = [user, gr.update(**read), *(gr.update(**one) for one in sides)]
            left, right = (one["value"] for one in sides)
            given = (index, given[1], user, *given[3:5], read["value"], given[6])
        return [index, *changes, *self.all(left, right, words, *given)]

    def one(self, label: str | None, words: bool, *given: Any) -> str:
        """The list of a strategy."""
        question, index = _question(self.explorer, *given), given[0]
        if not self.explorer.boards[index].strategies:
            return note("this board has nobody to recommend to")
        if label is None:  # of a single run there is nothing to put beside it
            return ""
        reasons = self.reasons if words else None
        return list_html(self.explorer, index, label, question, reasons=reasons)

    def history(self, left: str, right: str | None, *given: Any) -> str:
        """What the lists are made from."""
        question, index = _question(self.explorer, *given), given[0]
        nobody = question.user is None and not question.liked
        if nobody or not self.explorer.boards[index].strategies:
            return ""
        label = right if right and self.explorer.fault(index, left) else left
        return history_html(self.explorer, index, label, question)

    def all(self, left: str, right: str | None, words: bool, *given: Any) -> list[str]:
        """Both lists and the history at once: a page asks for one thing after the other, and paints
        after each."""
        with ThreadPoolExecutor() as workers:
            lists = [workers.submit(self.one, label, words, *given) for label in (left, right)]
            past = workers.submit(self.history, left, right, *given)
            return [made.result() for made in (*lists, past)]


def browser(
    explorer: Explorer, board: gr.State, page: gr.Blocks, liked: gr.State, who: gr.Radio
) -> None:
    """The catalogue, a page at a time, to pick from."""
    at = gr.State((0, "", 0))  # board, words, first
    words = gr.Textbox("", label="Search the catalogue", info="by title or id; Enter searches")
    found = own_html("catalogue")
    with gr.Row():
        back, on = gr.Button("Previous", size="sm"), gr.Button("Next", size="sm")

    def paged(index: int, at: At, liked: Liked) -> str:
        try:
            catalogue = explorer.catalogue(index)
        except FusionlabError as error:
            return alert(str(error))
        if catalogue is None:
            return note("this board has no catalogue")
        _, text, first = _of(index, at)
        rows, total = catalogue.search(text, first, PAGE)
        picked = _picked(index, liked)
        label = {row: "Added" if catalogue.ids[row] in picked else "Add" for row in rows}
        made = [card(catalogue, index, row, Shown(actions={label[row]: "add"})) for row in rows]
        told = f"{first + 1:,} to {first + len(rows):,} of {total:,}" if rows else "nothing found"
        profile = f"; {counted(len(picked))} in your profile" if picked else ""
        return status(told + profile) + cards(made, "Catalogue", "fl-grid")

    def turned(by: int) -> Callable[..., At]:
        def to(index: int, at: At) -> At:
            try:
                catalogue = explorer.catalogue(index)
            except FusionlabError:
                return at  # the page of the catalogue says what is wrong
            _, text, first = _of(index, at)
            total = 0 if catalogue is None else catalogue.search(text, 0, 0)[1]
            return (index, text, max(0, first + by) if first + by < total else first)

        return to

    def added(index: int, liked: Liked, event: gr.EventData) -> tuple[Liked, str]:
        picked = dict.fromkeys([*_picked(index, liked), told_by(event, "item")])
        return (index, [*picked]), PROFILE

    for button, by in ((back, -PAGE), (on, PAGE)):
        button.click(turned(by), [board, at], at, **QUIET)
    words.submit(lambda index, text: (index, text_in(text), 0), [board, words], at, **QUIET)
    changed = [at.change, board.change, liked.change, page.load]
    gr.on(changed, paged, [board, at, liked], found, **QUIET)
    found.act(added, [board, liked], [liked, who], **PICKING)


def _of(index: int, at: At) -> At:
    """The page of a board: of another one than the last it is the first."""
    return at if at[0] == index else (index, at[1], 0)


def _picked(index: int, liked: Liked) -> Sequence[str]:
    """The profile for a board: what was picked on another one does not count."""
    return liked[1] if liked[0] == index else ()


def _question(
    explorer: Explorer,
    index: int,
    who: str,
    user: object,
    liked: Liked,
    k: float,
    on: Sequence[str],
    untrained: bool,
) -> Question:
    every = modalities_read(explorer, index)
    off = tuple(name for name in every if name not in on)
    whose = text_in(user).strip() if who == USER else None
    return Question(whose, tuple(_picked(index, liked)), int(k), off, untrained)
