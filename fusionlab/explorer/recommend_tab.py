"""The tab of lists: two strategies side by side, for a user or for a profile put together here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import gradio as gr

from fusionlab.errors import FusionlabError
from fusionlab.explorer.cards import Shown, alert, card, cards, note
from fusionlab.explorer.reasons import Reasons
from fusionlab.explorer.recommend import Question, history_html, list_html
from fusionlab.explorer.state import Explorer
from fusionlab.explorer.widgets import (
    EVERY,
    QUIET,
    READING,
    another_user,
    first_user,
    modalities,
    own_html,
    strategies,
    text_in,
    told_by,
    user_picker,
)
from fusionlab.reporting.courses import modalities_of

PAGE = 12
"""Items of the catalogue side by side."""
USER, PROFILE = "A user of the data", "A profile of your own"
PICKING = {**EVERY, "concurrency_id": "profile"}


def recommend_tab(
    explorer: Explorer, board: gr.Dropdown, page: gr.Blocks, reasons: Reasons | None
) -> None:
    """Two strategies side by side for a user or a profile."""
    liked = gr.State([])
    with gr.Row(elem_classes="fl-row"):
        who = gr.Radio([USER, PROFILE], value=USER, label="Whose list", min_width=240)
        user, another = user_picker(explorer, "who-recommend")
        k = gr.Slider(5, 50, 10, step=5, label="Items", min_width=160)
    with gr.Accordion("Build a profile: pick what you like", open=False) as builder:
        browser(explorer, board, page, liked, who)
    with gr.Row():
        on = gr.CheckboxGroup(label="Modalities that count", **modalities(explorer, 0))
        untrained = gr.Checkbox(label="Tell untrained", info="of models that saw no subsets")
        worded = gr.Checkbox(label="Reasons in words", visible=reasons is not None)
    past = own_html("history")
    with gr.Row(equal_height=False):
        sides = []
        for place, name in enumerate(("left", "right")):
            with gr.Column(min_width=300):
                choice = gr.Dropdown(label=f"Strategy, {name}", **strategies(explorer, 0, place))
                sides.append((choice, own_html(f"list-{name}")))
    asked = [board, who, user, liked, k, on, untrained]
    lists = Lists(explorer, reasons)

    def switched(index: int) -> list[Any]:
        return [
            gr.update(value=first_user(explorer, index)),
            [],
            gr.update(**modalities(explorer, index)),
            *(gr.update(**strategies(explorer, index, place)) for place in (0, 1)),
        ]

    choices = [choice for choice, _ in sides]
    switch = board.input(switched, board, [user, liked, on, *choices], **QUIET)
    pick = another.click(another_user(explorer), [board, user], user, **QUIET)
    changed = [user.submit, k.change, on.input, untrained.input, worded.input, who.input]
    changed += [liked.change, page.load]
    everything = [*choices, worded, *asked], [*(place for _, place in sides), past]
    gr.on(changed, lists.all, *everything, **READING)
    switch.then(lists.all, *everything, **READING)
    pick.then(lists.all, *everything, **READING)
    for choice, side in sides:
        choice.input(lists.one, [choice, worded, *asked], side, **READING)

    def removed(some: list[str], event: gr.EventData) -> list[str]:
        return [item for item in some if item != told_by(event, "item")]

    past.act(removed, liked, liked, **PICKING)
    who.input(lambda whose: gr.update(open=whose == PROFILE), who, builder, **QUIET)


@dataclass(frozen=True)
class Lists:
    """What the tab shows; ``given`` are its widgets: board, who, user, liked, k, on, untrained."""

    explorer: Explorer
    reasons: Reasons | None

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
    explorer: Explorer, board: gr.Dropdown, page: gr.Blocks, liked: gr.State, who: gr.Radio
) -> None:
    """The catalogue, a page at a time, to pick from."""
    start = gr.State(0)
    words = gr.Textbox("", label="Search the catalogue", info="by title or id; Enter searches")
    found = own_html("catalogue")
    with gr.Row():
        back, on = gr.Button("Previous", size="sm"), gr.Button("Next", size="sm")

    def paged(index: int, text: str, first: int) -> str:
        try:
            catalogue = explorer.catalogue(index)
        except FusionlabError as error:
            return alert(str(error))
        if catalogue is None:
            return note("this board has no catalogue")
        rows, total = catalogue.search(text_in(text), first, PAGE)
        made = [card(catalogue, index, row, Shown(actions={"Add": "add"})) for row in rows]
        told = f"{first + 1:,} to {first + len(rows):,} of {total:,}" if rows else "nothing found"
        return note(told) + cards(made, "Catalogue", "fl-grid")

    def turned(by: int) -> Callable[..., int]:
        def to(index: int, text: str, first: int) -> int:
            try:
                catalogue = explorer.catalogue(index)
            except FusionlabError:
                return first  # the page of the catalogue says what is wrong
            total = 0 if catalogue is None else catalogue.search(text_in(text), 0, 0)[1]
            return max(0, first + by) if first + by < total else first

        return to

    def added(some: list[str], event: gr.EventData) -> tuple[list[str], str]:
        return [*dict.fromkeys([*some, told_by(event, "item")])], PROFILE

    at = [board, words, start]
    for button, by in ((back, -PAGE), (on, PAGE)):
        button.click(turned(by), at, start, **QUIET).then(paged, at, found, **QUIET)
    for again in (words.submit, board.input):
        again(lambda: 0, None, start, **QUIET).then(paged, at, found, **QUIET)
    page.load(paged, at, found, **QUIET)
    found.act(added, liked, [liked, who], **PICKING)


def _question(
    explorer: Explorer,
    index: int,
    who: str,
    user: object,
    liked: Sequence[str],
    k: float,
    on: Sequence[str],
    untrained: bool,
) -> Question:
    every = modalities_of(explorer.boards[index].rows)
    off = tuple(name for name in every if name not in on)
    whose = text_in(user).strip() if who == USER else None
    return Question(whose, tuple(liked), int(k), off, untrained)
