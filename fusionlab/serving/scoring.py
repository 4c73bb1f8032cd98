"""Scores of a trained run, for users and strangers, over the catalogue and items added since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache, reduce

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.new_items import joined
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import Scores, block_of
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews
from fusionlab.serving.people import Asked, as_clicks
from fusionlab.training.items import catalogue_views
from fusionlab.training.ranking import RankingTask

Queries = Callable[[Tensor], tuple[Tensor | None, Tensor | None]]
"""Places (b,) of people to their views (b, K, D) and ID factors (b, E)."""


class Scoring:
    """Ranks a trained task's catalogue and, beside it, ``new`` items; nothing is trained.

    Where a user is nothing but a history (`Recommender.by_history`), the histories that are asked
    for take the place of those of training; else users keep the vectors that were learned. Items
    without a history in training have no ID score.

    Args:
        task: trained, in eval mode.
        new: features of the new items as the model reads them; None: there are none.
        kept: so many catalogues with some modalities masked are held, the last that were asked for.
    """

    def __init__(self, task: RankingTask, new: ItemFeatures | None = None, kept: int = 0) -> None:
        self.task, self.model, self.new = task, task.model, new
        self.device = task.device
        self.n_items = self.model.n_items + (0 if new is None else len(new))
        self.by_history = self.model.by_history
        self.ranker = self._ranker()
        self._masked = lru_cache(maxsize=kept)(self._ranker)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model reads; nothing if it reads clicks alone."""
        return () if self.task.judged is None else self.task.judged.modalities

    def scores(self, asked: Asked, without: Collection[str] = ()) -> Scores:
        """Places (b,) of the people who ask to scores (b, N), some modalities masked everywhere."""
        ranker = self.ranker_without(without)
        situation = None if asked.situation is None else asked.situation.to(self.device)
        if not self.by_history:
            rows = self._rows(asked)
            if situation is None:
                return lambda places: ranker(rows[places])
            return lambda places: ranker.situated(rows[places], situation)
        of_people = self._of_histories(asked, ranker, without)
        if situation is not None:
            return lambda places: of_people.situated(places, situation)
        if ranker.clicked is None:  # it may hold what a stranger describes as one item more
            return lambda places: of_people(places)[:, : self.n_items]
        return of_people

    def scores_at(self, asked: Asked, rows: Tensor, without: Collection[str] = ()) -> Tensor:
        """Scores (U, k) of the items ``rows`` (U, k) of each who asks, on the CPU.

        Where a score is an inner product no other item is scored, which may move its last bits.
        """
        ranker, at = self.ranker_without(without), rows.clamp(min=0).to(self.device)
        places = torch.arange(len(rows), device=self.device)
        if ranker.product is not None and _multiplies(ranker) and asked.situation is None:
            vectors = ranker.product_rows(*self.queries(asked, without)(places))
            return torch.einsum("be,ebk->bk", vectors, ranker.product.matrix[:, at]).cpu()
        scores = self.scores(asked, without)
        blocks = places.split(block_of(self.n_items * ranker.n_views))
        return torch.cat([scores(some).gather(1, at[some]).cpu() for some in blocks])

    def ranker_without(self, without: Collection[str]) -> Ranker:
        """The ranker of the catalogue with some modalities masked everywhere."""
        return self._masked(frozenset(without)) if without else self.ranker

    def queries(self, asked: Asked, without: Collection[str] = ()) -> Queries:
        """What the people who ask bring into a score."""
        ranker = self.ranker_without(without)
        if self.by_history:
            return self._of_histories(asked, ranker, without).queries
        rows = self._rows(asked)
        return lambda places: ranker.queries(rows[places])

    def asking(self, query: Tensor, asked: Asked) -> Tensor:
        """What the strategy sees of people with the views ``query`` (b, K, D)."""
        situation = None if asked.situation is None else asked.situation.to(self.device)
        return self.model.asking(query, situation)

    def item_vectors(self) -> Tensor:
        """(N, E): what every score is one inner product with; FusionlabError if it is none."""
        ranker = self.ranker
        if ranker.product is None or not _multiplies(ranker):
            raise FusionlabError(
                f"index: scores of {self.model.name!r} are no inner product with item vectors here "
                "(it ranks in its own way, or its fusion weighs views by the user); expected an "
                "exact ranking"
            )
        return ranker.product.matrix.T

    def _rows(self, asked: Asked) -> Tensor:
        return torch.tensor([person.row for person in asked.people], device=self.device)

    def _ranker(
        self, without: Collection[str] = (), described: ItemFeatures | None = None
    ) -> Ranker:
        """Over the catalogue, what is new, and (of features alone) what is ``described``."""
        more = [one for one in (self.new, described) if one is not None]
        if not more:
            return self.task.ranker(without)
        assert self.task.judged is not None
        parts = [self.task.judged, *more]
        views = features = None
        if self.model.uses_content:
            views = _joined([self._views(part, without) for part in parts])
        if self.model.reads_features:
            features = _lacking(reduce(joined, [part.to(self.device) for part in parts]), without)
        return self.model.ranker(views, features)

    def _views(self, features: ItemFeatures, without: Collection[str]) -> ItemViews:
        assert self.model.fusion is not None
        return catalogue_views(self.model.fusion, _lacking(features, without))

    def _of_histories(self, asked: Asked, ranker: Ranker, without: Collection[str] = ()) -> Ranker:
        described = asked.described
        histories = [person.history for person in asked.people]
        clicks = as_clicks(histories, self.n_items + (described is not None))
        if ranker.clicked is None:
            over = ranker if described is None else self._ranker(without, described)
            return over.of_people(clicks, None)
        more = None if described is None else self._views(described, without)
        items = clicks.items.unique().to(self.device)
        return ranker.of_people(clicks, _read(items, ranker.clicked, more))


def _multiplies(ranker: Ranker) -> bool:
    """Is every score one inner product, and nothing else?"""
    own = type(ranker).__call__ is not Ranker.__call__
    return not own and (ranker.items is None or ranker.folded)


def _lacking(features: ItemFeatures, without: Collection[str]) -> ItemFeatures:
    return features.only(name for name in features.modalities if name not in without)


def _joined(parts: Sequence[ItemViews]) -> ItemViews:
    return ItemViews(
        torch.cat([part.views for part in parts]), torch.cat([part.present for part in parts])
    )


def _read(items: Tensor, known: ItemViews, more: ItemViews | None) -> ItemViews:
    """The views of ``items`` (m,), upwards, which are rows of ``known`` and then of ``more``."""
    n = len(known.views)
    position = torch.zeros(n + 1, dtype=torch.int64, device=items.device)
    position[items] = torch.arange(len(items), device=items.device)
    first = items[items < n]
    parts = [ItemViews(known.views[first], known.present[first])]
    if more is not None:
        rest = items[items >= n] - n
        parts.append(ItemViews(more.views[rest], more.present[rest]))
    return replace(_joined(parts), position=position)
