"""Widgets that tabs share, and how they ask the server."""

from __future__ import annotations

import random
import re
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from fusionlab.explorer.state import Explorer
from fusionlab.reporting.courses import modalities_of

SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
READING: dict[str, Any] = {**QUIET, "queue": False}
"""Of what changes nothing and is answered at once: it waits in no line. No `change` of a
state that it sets is heard."""
EVERY: dict[str, Any] = {**QUIET, "trigger_mode": "multiple", "concurrency_limit": 1}
"""Of what is said again while an answer is under way: each is heard, one after the other."""
SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which a browser can send and no file can hold."""


def own_html(name: str) -> gr.HTML:
    """A place for HTML of our own, whose buttons are heard under the event ``act``."""
    return gr.HTML(js_on_load=SCRIPT, elem_id=name, apply_default_css=False)


def user_picker(explorer: Explorer, name: str) -> tuple[gr.Textbox, gr.Button]:
    """A user's id, and a button that draws another."""
    first = first_user(explorer, 0)
    user = gr.Textbox(first, label="User", info="Enter asks", min_width=160, elem_id=name)
    return user, gr.Button("Another user", size="sm", scale=0, min_width=130)


def untrained_box() -> gr.Checkbox:
    """Tell what modalities count of every model."""
    return gr.Checkbox(label="Tell untrained", info="of models that saw no subsets", min_width=160)


def strategies(explorer: Explorer, index: int, place: int) -> dict[str, Any]:
    """The choices of a board's strategies, the one at ``place`` chosen where there is one."""
    found = explorer.boards[index].strategies
    return {"choices": found, "value": found[place] if place < len(found) else None}


def modalities(explorer: Explorer, index: int) -> dict[str, Any]:
    """The choices of a board's modalities, all chosen."""
    found = modalities_read(explorer, index)
    return {"choices": found, "value": found}


def modalities_read(explorer: Explorer, index: int) -> list[str]:
    """What the strategies of a board that recommend read; ceilings may read more."""
    board = explorer.boards[index]
    return modalities_of([board.row(label) for label in board.strategies])


def first_user(explorer: Explorer, index: int) -> str:
    """A board's first user; nothing where it has none."""
    return next(iter(explorer.users(index)), "")


def another_user(explorer: Explorer, index: int, user: object) -> str:
    """A board's user drawn at random; the same ``user`` where it has none."""
    users = explorer.users(index)
    return random.choice(users) if users else text_in(user)


def status(text: str) -> str:
    """What has just been done, read out when there is time; only what changes is read out, so an
    empty one holds its place."""
    return f'<p class="fl-note" role="status">{escape(text)}</p>'


def told_by(event: gr.EventData, key: str) -> str:
    """What a browser says, which may be anything."""
    return text_in(getattr(event, key, ""))


def text_in(given: object) -> str:
    """What a browser says, as text that can be written down; nothing if it is no text."""
    return SURROGATES.sub("\ufffd", given) if isinstance(given, str) else ""
