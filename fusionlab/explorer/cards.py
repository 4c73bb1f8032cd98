"""Items as HTML: whatever stands in the data is escaped, every picture and sound is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from fusionlab.explorer.catalogue import Catalogue

FIRST = 5
"""So many pictures of a list are fetched before all others."""
COLORS = 6
"""Colours of modalities in page.css; more modalities begin anew."""


@dataclass(frozen=True)
class Shown:
    """What a card says beside the item itself.

    ``bars`` are amounts by modality, drawn against ``scale``; ``moved`` is how its place changed;
    ``actions`` are buttons: what they do, by what stands on them.
    """

    rank: int | None = None
    score: float | None = None
    bars: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    scale: float = 1.0
    moved: str = ""
    reason: str = ""
    actions: Mapping[str, str] = field(default_factory=dict)


def card(catalogue: Catalogue, board: int, row: int, shown: Shown) -> str:
    """One item as a list item."""
    title, item = catalogue.title(row), catalogue.ids[row]
    rank = "" if shown.rank is None else f'<span class="fl-rank">{shown.rank}</span>'
    score = "" if shown.score is None else f'<span class="fl-score">{shown.score:.4f}</span>'
    known = "" if title == item else f'<span class="fl-id">{escape(item)}</span>'
    return "".join(
        [
            f'<li class="fl-card" data-item="{escape(item)}">',
            _picture(catalogue, board, row, first=(shown.rank or FIRST + 1) <= FIRST),
            '<div class="fl-body"><p class="fl-head">',
            rank,
            f'<strong class="fl-title" title="{escape(title)}">{escape(title)}</strong>',
            shown.moved and f'<span class="fl-moved">{escape(shown.moved)}</span>',
            f'</p><p class="fl-meta">{known}{score}</p>',
            *(
                f'<p class="fl-text" title="{escape(text)}">{escape(text)}</p>'
                for text in catalogue.texts(row).values()
            ),
            _sounds(catalogue, board, row),
            _bars(shown.bars, shown.scale),
            _weights(shown.weights),
            shown.reason and f'<p class="fl-reason">{escape(shown.reason)}</p>',
            _buttons(shown.actions, item, title),
            "</div></li>",
        ]
    )


def cards(items: Sequence[str], label: str, kind: str = "fl-list", attributes: str = "") -> str:
    """Cards as a list with a name; ``kind`` is fl-list or fl-strip."""
    return f'<ol class="{kind}" aria-label="{escape(label)}"{attributes}>{"".join(items)}</ol>'


def alert(text: str) -> str:
    """What went wrong, or must be known, for everyone: read out at once."""
    return f'<p class="fl-alert" role="alert">{escape(text)}</p>' if text else ""


def note(text: str) -> str:
    """A remark."""
    return f'<p class="fl-note">{escape(text)}</p>'


def button(act: str, label: str, aria: str, **data: str) -> str:
    """A button whose click reaches the server with ``act`` and ``data``."""
    given = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return (
        f'<button type="button" class="fl-button" data-act="{escape(act)}"{given} '
        f'aria-label="{escape(aria)}">{escape(label)}</button>'
    )


def address(catalogue: Catalogue, board: int, column: str, row: int, kind: str) -> str:
    """Where a picture (small, large) or a sound (sound) of an item is found."""
    place = catalogue.columns.index(column)
    return f"media/{board}/{place}/{row}/{kind}?of={catalogue.key}"


def _buttons(actions: Mapping[str, str], item: str, title: str) -> str:
    made = [button(act, label, f"{label}: {title}", item=item) for label, act in actions.items()]
    return f'<p class="fl-actions">{"".join(made)}</p>' if made else ""


def _picture(catalogue: Catalogue, board: int, row: int, *, first: bool) -> str:
    images = catalogue.images(row)
    if not images:
        letter = catalogue.title(row).strip()[:1].upper()
        return f'<div class="fl-picture fl-blank" aria-hidden="true">{escape(letter)}</div>'
    alt = f"{images[0]} of {catalogue.title(row)}"
    small, large = (address(catalogue, board, images[0], row, kind) for kind in ("small", "large"))
    return (
        f'<a class="fl-picture" href="{large}" target="_blank" rel="noopener" '
        f'aria-label="{escape(alt)}, larger"><img src="{small}" alt="{escape(alt)}" '
        f'loading="lazy" decoding="async" fetchpriority="{"high" if first else "low"}"></a>'
    )


def _sounds(catalogue: Catalogue, board: int, row: int) -> str:
    made = []
    for name in catalogue.sounds(row):
        source = address(catalogue, board, name, row, "sound")
        label = escape(f"{name} of {catalogue.title(row)}")
        made.append(
            f'<audio class="fl-sound" controls preload="none" src="{source}" '
            f'aria-label="{label}"></audio>'
        )
    return "".join(made)


def _bars(amounts: Mapping[str, float], scale: float) -> str:
    """A bar a modality, to the right where it speaks for the item, to the left where against."""
    rows = []
    for place, (name, amount) in enumerate(amounts.items()):
        width = min(50.0, 50 * abs(amount) / scale) if scale > 0 else 0.0
        left = 50.0 if amount >= 0 else 50 - width
        rows.append(
            f'<div class="fl-bar"><dt>{escape(name)}</dt><dd><span class="fl-track" '
            f'aria-hidden="true"><span class="fl-fill fl-c{place % COLORS}" '
            f'style="left:{left:.1f}%;width:{width:.1f}%"></span></span>'
            f'<span class="fl-amount">{amount:+.3f}</span></dd></div>'
        )
    return f'<dl class="fl-bars">{"".join(rows)}</dl>' if rows else ""


def _weights(weights: Mapping[str, float]) -> str:
    told = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
    return f'<p class="fl-meta">weights of views: {escape(told)}</p>' if told else ""
