"""The tabs that compare and that take an item."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import gradio as gr

from fusionlab.data.media import Raw
from fusionlab.explorer.cards import note
from fusionlab.explorer.compare import figures_html, levels_of, row_html, table_html
from fusionlab.explorer.state import Explorer
from fusionlab.explorer.widgets import QUIET, READING, own_html, strategies, text_in, told_by
from fusionlab.explorer.your_item import your_item_html

Known = tuple[int, tuple[str, ...]]
"""The board and the levels that the table shows."""
Chosen = tuple[int, str | None]
"""Board and strategy."""
NOTHING = note(
    "bring a text, a picture or a sound: what is like it, and who would like it, stands here then"
)


def compare_tab(explorer: Explorer, board: gr.State, page: gr.Blocks) -> None:
    """The table, the figures, and what stands behind a row."""
    levels = gr.CheckboxGroup(label="Levels", **_levels(explorer, 0))
    table, behind, figures = (own_html(name) for name in ("table", "behind", "figures"))
    known = gr.State((0, tuple(levels_of(explorer.boards[0]))))

    def filtered(index: int, known: Known, some: Sequence[str]) -> list[Any]:
        """Of another board than the last one the levels that were chosen count no more."""
        changes = [gr.skip(), gr.skip()]
        if known[0] != index:
            some = levels_of(explorer.boards[index])
            changes = [gr.update(**_levels(explorer, index)), ""]
        return [(index, tuple(some)), *changes, table_html(explorer.boards[index], some)]

    def drawn(known: Known) -> str:
        return figures_html(explorer.boards[known[0]], known[1])

    def opened(index: int, event: gr.EventData) -> str:
        labels = [row.label for row in explorer.boards[index].rows]
        label = told_by(event, "row")
        return row_html(explorer.boards[index], label) if label in labels else ""

    changed, shown = [board.change, levels.input, page.load], [known, levels, behind, table]
    gr.on(changed, filtered, [board, known, levels], shown, **QUIET)
    gr.on([known.change, page.load], drawn, known, figures, **QUIET)
    table.act(opened, board, behind, **QUIET)


def _levels(explorer: Explorer, index: int) -> dict[str, Any]:
    found = levels_of(explorer.boards[index])
    return {"choices": found, "value": found}


def your_item_tab(explorer: Explorer, board: gr.State) -> None:
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
            alike.value = NOTHING
    known = gr.State((0, strategies(explorer, 0, 0)["value"]))
    looked = gr.State((0, ""))  # the board, and another text after each look

    def switched(index: int) -> tuple[Chosen, Any]:
        choices = strategies(explorer, index, 0)
        return (index, choices["value"]), gr.update(**choices)

    def kept(index: int, known: Chosen, looked: tuple[int, str]) -> list[Any]:
        """Of another board than the last one nothing counts any more."""
        new = known[0] != index
        found = [NOTHING, ""] if new or looked[0] != index else [gr.skip(), gr.skip()]
        return [*(switched(index) if new else (gr.skip(), gr.skip())), *found]

    def looked_up(
        index: int, known: Chosen, text: object, image: str | None, audio: str | None
    ) -> list[Any]:
        """It may be asked for before another board has come to the page."""
        changes = [gr.skip(), gr.skip()]
        if known[0] != index:
            known, changes[1] = switched(index)
            changes[0] = known
        done = (index, uuid4().hex)
        if known[1] is None:
            return [done, *changes, note("this board has nobody to recommend to"), ""]
        said = text_in(text).strip()
        media: dict[str, Raw] = {"text": said} if said else {}
        media |= {
            medium: Path(file)
            for medium, file in (("image", image), ("audio", audio))
            if file is not None
        }
        return [done, *changes, *your_item_html(explorer, index, known[1], media)]

    shown = [known, label, alike, fans]
    gr.on([board.change, looked.change], kept, [board, known, looked], shown, **READING)
    label.input(lambda *chosen: chosen, [board, label], known, **READING)
    go.click(looked_up, [board, known, text, image, audio], [looked, *shown], **QUIET)
