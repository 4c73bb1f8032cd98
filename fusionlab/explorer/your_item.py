"""An item that somebody brings: what is like it, and who would like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.media import Raw
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import block_of
from fusionlab.explorer.cards import Shown, alert, card, cards, note
from fusionlab.explorer.state import Explorer
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews
from fusionlab.serving.new_items import described_by, features_of
from fusionlab.serving.recommend import Service
from fusionlab.training.items import catalogue_views

NEIGHBOURS, FANS = 8, 12
DESCRIBED = "item '(described)', "
"""What messages call the item, which has no other name here."""
JUDGED = 2**28
"""Scores that are looked at for the users who would like an item: of a large catalogue not every
user's list is made."""


@dataclass(frozen=True)
class Found:
    """``neighbours``: rows and likeness (cosine of fused views), most alike first. ``fans``: users
    and the place that the item takes in their lists, best first, of ``judged`` users. ``notes``: of
    what was brought, what the encoders know nothing of."""

    neighbours: list[tuple[int, float]]
    fans: list[tuple[str, int]]
    judged: int
    notes: list[str]


@torch.no_grad()
def look_up(service: Service, media: Mapping[str, Raw]) -> Found:
    """Encode and fuse an item given as media, and hold it against the catalogue and the users.

    Likeness is the cosine between the item's views and another's, all K side by side; an absent
    view is zero. Places are among the whole catalogue, seen items too, with equal scores counting
    for the item. Users are as training left them.

    Raises:
        FusionlabError: media that the run does not read, or that cannot be encoded.
    """
    features, notes = features_of(service.trained, [described_by(media, service.trained)])
    fusion, known = service.model.fusion, service.scoring.ranker.clicked
    if fusion is None or known is None:
        raise FusionlabError(
            f"your item: recommender {service.model.name!r} fuses no items; expected one that does"
        )
    own = catalogue_views(fusion, features.to(service.scoring.device))
    joined = ItemViews(torch.cat([known.views, own.views]), torch.cat([known.present, own.present]))
    alike = F.cosine_similarity(known.views.flatten(1), own.views.flatten(1), dim=1)
    best = alike.topk(min(NEIGHBOURS, len(alike)))
    places = _places(service, service.model.ranker(joined))
    order = places.argsort(stable=True)[:FANS]
    names = [*service.user_rows]
    return Found(
        list(zip(best.indices.tolist(), best.values.tolist(), strict=True)),
        [(names[row], int(places[row])) for row in order.tolist()],
        len(places),
        notes,
    )


def _places(service: Service, ranker: Ranker) -> Tensor:
    """(U,) the place of the last item in each user's list, 1 the best."""
    n = service.scoring.n_items + 1
    users = torch.arange(min(len(service.user_rows), max(1, JUDGED // n)))
    found = []
    for some in users.split(block_of(n * ranker.n_views)):
        scores = ranker(some.to(service.scoring.device))
        found.append(1 + (scores[:, :-1] > scores[:, -1:]).sum(1).cpu())
    return torch.cat(found)


def your_item_html(
    explorer: Explorer, board: int, label: str, media: Mapping[str, Raw]
) -> tuple[str, str]:
    """Neighbours, and who would like it."""
    try:
        if not media:
            raise FusionlabError("your item: found nothing, expected a text, an image or a sound")
        with explorer.service(board, label) as service:
            found = look_up(service, media)
        catalogue = explorer.catalogue(board)
        assert catalogue is not None
    except FusionlabError as error:
        return alert(_told(error, media)), ""
    made = [
        card(catalogue, board, row, Shown(place, score))
        for place, (row, score) in enumerate(found.neighbours, 1)
    ]
    n = f"{len(catalogue) + 1:,}"
    rows = "".join(
        f"<tr><td>{escape(user)}</td><td>{place:,} of {n}</td></tr>" for user, place in found.fans
    )
    neighbours = (
        "".join(note(one.removeprefix(DESCRIBED)) for one in found.notes)
        + '<h3 class="fl-heading">Most alike <small>cosine of the fused views</small></h3>'
        + cards(made, "Items most like yours")
    )
    fans = (
        f'<h3 class="fl-heading">Who would like it <small>of {found.judged:,} users</small></h3>'
        '<table class="fl-table"><thead><tr><th scope="col">user</th><th scope="col">place in '
        f"their list</th></tr></thead><tbody>{rows}</tbody></table>"
    )
    return neighbours, fans


def _told(error: FusionlabError, media: Mapping[str, Raw]) -> str:
    """What is wrong, with an upload under its own name: where it lies here is nobody's business."""
    text = str(error).removeprefix(DESCRIBED).removeprefix("--")
    for file in media.values():
        text = text.replace(str(file), file.name) if isinstance(file, Path) else text
    return text
