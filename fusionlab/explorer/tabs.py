"""The tabs that compare, that listen, and that take an item."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from fusionlab.data.media import Raw
from fusionlab.errors import FusionlabError
from fusionlab.explorer.cards import alert, note
from fusionlab.explorer.compare import figures_html, levels_of, row_html, table_html
from fusionlab.explorer.feedback import ACTIONS, act, log_html, undo
from fusionlab.explorer.recommend import Question, list_html
from fusionlab.explorer.state import Explorer
from fusionlab.explorer.widgets import (
    EVERY,
    QUIET,
    another_user,
    first_user,
    own_html,
    strategies,
    text_in,
    told_by,
    user_picker,
)
from fusionlab.explorer.your_item import your_item_html

SAYING = {**EVERY, "concurrency_id": "feedback"}
SHOWN = 100
"""No more impressions are taken from a browser at once."""


def compare_tab(explorer: Explorer, board: gr.Dropdown, page: gr.Blocks) -> None:
    """The table, the figures, and what stands behind a row."""
    levels = gr.CheckboxGroup(label="Levels", **_levels(explorer, 0))
    table, behind, figures = (own_html(name) for name in ("table", "behind", "figures"))

    def filtered(index: int, chosen: Sequence[str]) -> str:
        return table_html(explorer.boards[index], chosen)

    def drawn(index: int, chosen: Sequence[str]) -> str:
        return figures_html(explorer.boards[index], chosen)

    def opened(index: int, event: gr.EventData) -> str:
        labels = [row.label for row in explorer.boards[index].rows]
        label = told_by(event, "row")
        return row_html(explorer.boards[index], label) if label in labels else ""

    def switched(index: int) -> tuple[Any, str]:
        return gr.update(**_levels(explorer, index)), ""

    switch = board.input(switched, board, [levels, behind], **QUIET)
    for fill, place in ((filtered, table), (drawn, figures)):
        gr.on([levels.input, page.load], fill, [board, levels], place, **QUIET)
        switch.then(fill, [board, levels], place, **QUIET)
    table.act(opened, board, behind, **QUIET)


def _levels(explorer: Explorer, index: int) -> dict[str, Any]:
    found = levels_of(explorer.boards[index])
    return {"choices": found, "value": found}


def feedback_tab(explorer: Explorer, board: gr.Dropdown, page: gr.Blocks, tab: gr.Tab) -> None:
    """One list that listens."""
    with gr.Row(elem_classes="fl-row"):
        user, another = user_picker(explorer, "who-feedback")
        label = gr.Dropdown(label="Strategy", **strategies(explorer, 0, 0))
        back = gr.Button("Undo", size="sm", scale=0, min_width=130)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            listed = own_html("feedback-list")
        with gr.Column(scale=2, min_width=260):
            log = own_html("feedback-log")
    asked, views = [board, label, user], [listed, log]

    def shown(index: int, label: str, user: object, wrong: str = "") -> tuple[str, str]:
        if not explorer.boards[index].strategies:
            return note("this board has nobody to listen to"), ""
        who = text_in(user).strip()
        made = list_html(explorer, index, label, Question(who), actions=ACTIONS)
        heading = '<h3 class="fl-heading">What was said</h3>'
        return alert(wrong) + made, heading + log_html(explorer, index, label, who)

    def acted(index: int, label: str, user: object, event: gr.EventData) -> tuple[str, str]:
        told = {key: told_by(event, key) for key in ("act", "item", "list")}
        items = getattr(event, "shown", [])
        items = [text_in(one) for one in items[:SHOWN]] if isinstance(items, list) else []
        try:
            who = text_in(user).strip()
            act(explorer, index, label, who, told["act"], told["item"], items, told["list"][:64])
        except FusionlabError as error:
            return shown(index, label, user, str(error))
        return shown(index, label, user)

    def undone(index: int, label: str, user: object) -> tuple[str, str]:
        try:
            event = undo(explorer, index, label, text_in(user).strip())
        except FusionlabError as error:
            return shown(index, label, user, str(error))
        return shown(index, label, user, "" if event else "nothing is left to take back")

    def switched(index: int) -> tuple[Any, Any]:
        return first_user(explorer, index), gr.update(**strategies(explorer, index, 0))

    listed.act(acted, asked, views, **SAYING)
    back.click(undone, asked, views, **SAYING)
    gr.on([user.submit, label.input, tab.select], shown, asked, views, **QUIET)
    another.click(another_user(explorer), [board, user], user, **QUIET).then(
        shown, asked, views, **QUIET
    )
    board.input(switched, board, [user, label], **QUIET).then(shown, asked, views, **QUIET)


def your_item_tab(explorer: Explorer, board: gr.Dropdown) -> None:
    """An item that somebody brings."""
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            label = gr.Dropdown(label="Strategy", **strategies(explorer, 0, 0))
            text = gr.Textbox("", label="Text", lines=4)
            image = gr.File(label="Image", file_types=["image"], type="filepath", height=120)
            audio = gr.File(label="Sound", file_types=["audio"], type="filepath", height=120)
            go = gr.Button("Look it up", variant="primary")
        with gr.Column(scale=2, min_width=300):
            alike, fans = own_html("alike"), own_html("fans")
            alike.value = note(
                "bring a text, a picture or a sound: what is like it, and who "
                "would like it, stands here then"
            )

    def looked_up(
        index: int, label: str, text: object, image: str | None, audio: str | None
    ) -> tuple[str, str]:
        if not explorer.boards[index].strategies:
            return note("this board has nobody to recommend to"), ""
        said = text_in(text).strip()
        media: dict[str, Raw] = {"text": said} if said else {}
        media |= {
            medium: Path(file)
            for medium, file in (("image", image), ("audio", audio))
            if file is not None
        }
        return your_item_html(explorer, index, label, media)

    go.click(looked_up, [board, label, text, image, audio], [alike, fans], **QUIET)
    board.input(lambda index: gr.update(**strategies(explorer, index, 0)), board, label, **QUIET)
