"""Lists of one strategy for a user, or for a profile that was put together, as cards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from uuid import uuid4

from fusionlab.errors import FusionlabError
from fusionlab.explorer.cards import Shown, alert, card, cards, note
from fusionlab.explorer.catalogue import Catalogue
from fusionlab.explorer.reasons import Reasons
from fusionlab.explorer.run_log import log_of
from fusionlab.explorer.state import Explorer
from fusionlab.serving.lists import Recommended
from fusionlab.serving.recommend import Service
from fusionlab.studies.record import UNTRAINED

COMPARED = 200
"""A place is told as changed against the first so many of the whole model's list."""
HISTORY = 24
"""So many items of a history are shown, the latest."""


@dataclass(frozen=True)
class Question:
    """Whose list, and how: ``user``, or None and what somebody ``liked``; ``without`` modalities;
    ``untrained``: tell what modalities count even of a model that saw no subset of them."""

    user: str | None
    liked: tuple[str, ...] = ()
    k: int = 10
    without: tuple[str, ...] = ()
    untrained: bool = False


@dataclass(frozen=True)
class Answer:
    """A list, the places that the whole model gave its items, and the seconds it took."""

    found: Recommended
    before: Mapping[str, int] | None
    seconds: float


def answer(service: Service, question: Question) -> Answer:
    """Ask a service.

    Raises:
        FusionlabError: as of `Service`, or every modality that the model reads is switched off.
    """
    started = time.perf_counter()
    read = service.scoring.modalities
    without = [name for name in question.without if name in read]
    if read and len(without) == len(read):
        raise FusionlabError(
            f"all that the model reads is switched off ({', '.join(read)}): switch something on"
        )
    found = _ask(
        service, question, question.k, without, explain=service.scoring.ranker.items is not None
    )
    before = None
    if without:
        whole = _ask(service, question, max(COMPARED, question.k), [], explain=False)
        before = {item.item: place for place, item in enumerate(whole.items, 1)}
    seconds = time.perf_counter() - started
    return Answer(found, before, seconds)


def _ask(
    service: Service, question: Question, k: int, without: Sequence[str], *, explain: bool
) -> Recommended:
    if question.user is not None:
        (found,) = service.recommend(
            [question.user],
            k,
            explain=explain,
            untrained_coalitions=question.untrained,
            without=without,
        )
        return found
    return service.recommend_stranger(
        k,
        liked=question.liked,
        explain=explain,
        untrained_coalitions=question.untrained,
        without=without,
    )


def history_of(service: Service, question: Question) -> tuple[int, ...]:
    """Rows of the items that make the profile, the latest last."""
    if question.user is None:
        return tuple(service.item_rows[one] for one in question.liked if one in service.item_rows)
    return service.person(question.user).history


def list_html(
    explorer: Explorer,
    board: int,
    label: str,
    question: Question,
    *,
    actions: Mapping[str, str] | None = None,
    reasons: Reasons | None = None,
    named: Callable[[Sequence[str]], str] = lambda items: uuid4().hex,
) -> str:
    """The list of a strategy, under a name of its own, which ``named`` gives its items, or what is
    wrong with the question."""
    try:
        if question.user is None and not question.liked:
            raise FusionlabError("the profile is empty: add what you like from the catalogue")
        with explorer.service(board, label) as service:
            catalogue = explorer.catalogue(board)
            assert catalogue is not None
            told = answer(service, question)
            history = history_of(service, question) if reasons else ()
            unheard = log_of(service).fault
        said = reasons.of(catalogue, told.found, history) if reasons else {}
        name = named([item.item for item in told.found.items])
        made = _html(catalogue, board, label, told, question, actions or {}, said, name)
        return alert(unheard and f"without feedback: {unheard}") + made
    except FusionlabError as error:
        return alert(str(error))


def history_html(explorer: Explorer, board: int, label: str, question: Question) -> str:
    """The latest items of a history, as a strip of small cards."""
    try:
        with explorer.service(board, label) as service:
            history = history_of(service, question)
        catalogue = explorer.catalogue(board)
        assert catalogue is not None
    except FusionlabError:
        return ""  # the lists say what is wrong
    latest = history[::-1][:HISTORY]
    actions = {"Remove": "remove"} if question.user is None else {}
    made = [card(catalogue, board, row, Shown(actions=actions)) for row in latest]
    who = "Your profile" if question.user is None else f"History of {question.user}"
    count = counted(len(history)) + (f", the latest {HISTORY}" if len(history) > HISTORY else "")
    heading = f'<h3 class="fl-heading">{escape(who)} <small>{count}</small></h3>'
    return heading + (cards(made, who, "fl-strip") if made else note("nothing yet"))


def counted(n: int) -> str:
    """A number of items."""
    return f"{n:,} item" if n == 1 else f"{n:,} items"


def _html(
    catalogue: Catalogue,
    board: int,
    label: str,
    told: Answer,
    question: Question,
    actions: Mapping[str, str],
    said: Mapping[str, str],
    name: str,
) -> str:
    found = told.found
    amounts = [abs(x) for item in found.items for x in item.contributions.values()]
    made = [
        card(
            catalogue,
            board,
            catalogue.rows[item.item],
            Shown(
                place,
                item.score,
                item.contributions,
                item.view_weights,
                max(amounts, default=0.0),
                _moved(item.item, place, told.before),
                said.get(item.item, ""),
                actions,
            ),
        )
        for place, item in enumerate(found.items, 1)
    ]
    milliseconds = 1000 * told.seconds
    count = f"{len(made)} of {counted(len(catalogue))} in {milliseconds:.0f} ms"
    notes = [*found.notes, *_trained(found, bool(amounts)), *_off(found, question)]
    attributes = f' data-ms="{milliseconds:.1f}" data-list="{escape(name)}"'
    return (
        f'<h3 class="fl-heading" aria-live="polite">{escape(label)} <small>{count}</small></h3>'
        + "".join(map(note, notes))
        + cards(made, f"List of {label}", attributes=attributes)
    )


def _moved(item: str, place: int, before: Mapping[str, int] | None) -> str:
    if before is None:
        return ""
    if item not in before:
        return "new"
    steps = before[item] - place
    return f"▲ {steps}" if steps > 0 else f"▼ {-steps}" if steps < 0 else "="


def _trained(found: Recommended, explained: bool) -> list[str]:
    if found.hidden:
        return [
            "what modalities count is left out: the model has seen no subset of them in training "
            "(“Tell untrained” tells all the same)"
        ]
    trained = f"coalitions trained: {found.coalition_training}"
    return [f"bars: what the score loses without a modality ({trained})"] if explained else []


def _off(found: Recommended, question: Question) -> list[str]:
    if not question.without or found.coalition_training != UNTRAINED:
        return []
    return [
        "the model has never seen an item without one of its modalities: what it says with "
        f"{', '.join(question.without)} off may mean little"
    ]
