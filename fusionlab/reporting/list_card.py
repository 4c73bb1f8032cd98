"""A user's top list on the terminal, with what modalities and tokens counted for."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fusionlab.reporting.audit_card import BAR, LEFT_OUT, plain_table
from fusionlab.reporting.table import decimal
from fusionlab.serving.explained_list import ExplainedList, ListedItem

MOST_TOKENS = 8
"""Tokens shown of a modality, those that count most."""


def list_card(found: ExplainedList) -> Panel:
    """The list in one frame."""
    parts: list[RenderableType] = [_list(found)]
    if found.hidden:
        parts.append(Text(LEFT_OUT, style="yellow"))
    if found.tokens is not None:
        parts.append(_tokens(found.tokens, found.items[0].item))
    body = Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))
    title = Text(f"run {found.run[:12]}: what user {found.user} is recommended", "bold")
    return Panel(body, title=title, expand=False, padding=(1, 2, 0, 2))


def _list(found: ExplainedList) -> Table:
    """A row an item; the modality that counts most for it stands out."""
    names = list(found.items[0].shapley) if found.items else []
    caption = "score = nothing + Shapley values of the modalities" if names else ""
    table = plain_table("top list", caption)
    table.add_column("", justify="right")
    table.add_column("item")
    for heading in ("score", *(["nothing", *names] if names else [])):
        table.add_column(heading, justify="right")
    for place, one in enumerate(found.items, 1):
        nothing = [] if one.nothing is None else [Text(decimal(one.nothing, 3), "dim")]
        row = [Text(decimal(one.score, 3), "bold"), *nothing, *_shares(one)]
        table.add_row(str(place), one.item, *row)
    return table


def _shares(one: ListedItem) -> list[Text]:
    most = max(one.shapley.values(), default=0.0)
    return [
        Text(decimal(x, 3), "red" if x < 0 else "bold green" if x == most else "green")
        for x in one.shapley.values()
    ]


def _tokens(tokens: dict[str, list[float | None]], item: str) -> Table:
    """Integrated gradients as bars, the most telling tokens of each modality first."""
    table = plain_table(
        f"integrated gradients of item {item}", "against the mean token of each modality"
    )
    for heading in ("", "token", "value", ""):
        table.add_column(heading, justify="right" if heading else "left")
    known = {
        name: [(place, x) for place, x in enumerate(values, 1) if x is not None]
        for name, values in tokens.items()
    }
    longest = max((abs(x) for shown in known.values() for _, x in shown), default=0.0) or 1.0
    for name, shown in known.items():
        ordered = sorted(shown, key=lambda pair: -abs(pair[1]))
        for place, x in ordered[:MOST_TOKENS]:
            bar = Text("█" * round(BAR * abs(x) / longest), "green" if x > 0 else "red")
            label = name if place == ordered[0][0] else ""
            table.add_row(label, str(place), decimal(x, 3), bar)
        if rest := ordered[MOST_TOKENS:]:
            total = sum(x for _, x in rest)
            table.add_row("", f"{len(rest)} others", decimal(total, 3), "", style="dim")
    return table
