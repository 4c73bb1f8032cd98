"""Recommendations of a finished run: for its users, with items added since, and for strangers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from fusionlab.config import experiment_from
from fusionlab.data.new_items import NewItem
from fusionlab.data.privacy import OPEN
from fusionlab.errors import FusionlabError, one_of
from fusionlab.evaluation.ranking import NOTHING, block_of, top_k
from fusionlab.recommenders.contract import RECOMMENDERS
from fusionlab.serving.events import SAID, Events
from fusionlab.serving.explain import explained
from fusionlab.serving.faiss_index import Against, FaissIndex
from fusionlab.serving.ids import require_known
from fusionlab.serving.lists import Recommendation, Recommended
from fusionlab.serving.new_items import features_of, title_column
from fusionlab.serving.people import Asked, Person, as_clicks, known_person
from fusionlab.serving.scoring import Scoring
from fusionlab.serving.situation import notes_on, situation_asked
from fusionlab.studies.trained import Trained
from fusionlab.training.ranking import RankingTask

JUDGED = 256
"""Users whose exact lists an index is held against."""
ENOUGH = 100
"""Of them, to tell how fast it is."""


class Service:
    """A trained run over its catalogue and the items added since; nothing is trained.

    Items are fused once, when it is made; profiles are made anew for each list, with what ``log``
    says by then.

    Args:
        trained: a run (`load_trained`) of the task recommendation.
        new_items: items to rank beside the catalogue.
        log: feedback since training.
        index: "faiss": lists come from an approximate index of the catalogue, with their recall.
        probed: how many lists of the index are read (`FaissIndex`).
        kept: as of `Scoring`.

    Raises:
        FusionlabError: a classifier, new items that the model cannot read, an index of scores that
            are no inner product, or ``probed`` that is no number of its lists.
    """

    def __init__(
        self,
        trained: Trained,
        new_items: Sequence[NewItem] = (),
        log: Events | None = None,
        index: str | None = None,
        kept: int = 0,
        probed: int | None = None,
    ) -> None:
        self.trained, self.log, self.new_items = trained, log, list(new_items)
        self.record, self.dataset, task = trained
        if not isinstance(task, RankingTask) or self.dataset.interactions is None:
            raise FusionlabError(
                f"run {self.record.id[:12]}: found a classifier, expected a run that recommends"
            )
        experiment, self.interactions = (
            experiment_from(self.record.config),
            self.dataset.interactions,
        )
        self.min_rating: float | None = getattr(experiment.dataset, "min_rating", None)
        self.absent = getattr(experiment.dataset, "privacy", OPEN).absent()
        self.item_ids = [*map(str, self.dataset.item_ids), *(one.id for one in new_items)]
        self.item_rows = {name: row for row, name in enumerate(self.item_ids)}
        users = map(str, self.interactions.user_ids)
        self.user_rows = {name: row for row, name in enumerate(users)}
        new, self._notes_on_new = features_of(trained, self.new_items) if new_items else (None, [])
        self.scoring = Scoring(task, new, kept)
        self.model, self.title = task.model, title_column(self.dataset)
        if index is None and probed is not None:
            raise FusionlabError(f"probed: found {probed} without an index, expected index='faiss'")
        vectors = None if index is None else self.scoring.item_vectors()
        self.index = None if vectors is None else FaissIndex(vectors, probed)
        self._against: dict[int, Against] = {}

    def recommend(
        self,
        users: Iterable[str],
        k: int = 10,
        *,
        context: Mapping[str, str] = MappingProxyType({}),
        explain: bool = False,
        untrained_coalitions: bool = False,
        without: Collection[str] = (),
    ) -> list[Recommended]:
        """The ``k`` best items of each user that they have not seen; exactly, if without an index.

        Args:
            users: ids of the dataset.
            k: length of the lists.
            context: the situation, values by context column; the others are unknown.
            explain: add what modalities and views count.
            untrained_coalitions: tell contributions of a model that has never seen subsets of its
                modalities; what it says of them may mean nothing.
            without: modalities that are masked everywhere, as if no item had them.

        Raises:
            FusionlabError: an unknown user or modality (with the nearest known one), or a context
                of which the model is not told.
        """
        asked = Asked([self.person(user) for user in users])
        return self._recommended(asked, context, k, explain, untrained_coalitions, without)

    def recommend_stranger(
        self,
        k: int = 10,
        *,
        liked: Sequence[str] = (),
        described: NewItem | None = None,
        context: Mapping[str, str] = MappingProxyType({}),
        explain: bool = False,
        untrained_coalitions: bool = False,
        without: Collection[str] = (),
    ) -> Recommended:
        """The ``k`` best items for someone whom training never saw.

        The history is what they ``liked``, in order, and then the item that they ``described``,
        which is encoded and fused like any other but never recommended: the profile is made of
        their views as the recommender makes that of any user.

        Raises:
            FusionlabError: nothing liked or described, an unknown item, or a recommender that has
                learned a vector for each user.
        """
        self._serve_strangers()
        for item in liked:
            require_known("liked", item, self.item_rows)
        rows = [*dict.fromkeys(self.item_rows[item] for item in liked)]
        features, notes = (
            (None, []) if described is None else features_of(self.trained, [described])
        )
        history = rows if features is None else [*rows, len(self.item_ids)]
        if not history:
            raise FusionlabError(
                "a stranger: found nothing liked and nothing described, expected one of the two"
            )
        asked = Asked([Person(None, None, tuple(history), frozenset(rows))], features)
        found = self._recommended(asked, context, k, explain, untrained_coalitions, without)[0]
        return replace(found, notes=[*notes, *found.notes])

    def person(self, user: str) -> Person:
        """A user of training, or somebody of whom the log has feedback, with what it says by now.

        Raises:
            FusionlabError: neither, or somebody new to a recommender that has learned a vector for
                each user.
        """
        name = self.dataset.known_as(user)
        row = self.user_rows.get(name)
        events = [] if self.log is None else self.log.events(user, SAID)
        if row is None and (not events or name in self.absent):
            require_known("user", user, self.user_rows)
        if row is None:
            self._serve_strangers(": `fusionlab update RUN --retrain` makes users of new people")
        return known_person(name, row, self.interactions, events, self.item_rows, self.min_rating)

    def _serve_strangers(self, way_out: str = "") -> None:
        if not self.scoring.by_history:
            able = [name for name in RECOMMENDERS.names() if RECOMMENDERS[name].by_history]
            ids = " (without item_ids)" if self.model.name in able else ""
            raise FusionlabError(
                f"recommender {self.model.name!r} knows users by what it has learned of each, and "
                f"nothing of a stranger{way_out}; expected one that makes profiles of histories: "
                f"{', '.join(able)}{ids}"
            )

    @torch.no_grad()
    def _recommended(
        self,
        asked: Asked,
        context: Mapping[str, str],
        k: int,
        explain: bool,
        untrained_coalitions: bool,
        without: Collection[str],
    ) -> list[Recommended]:
        if k < 1:
            raise FusionlabError(f"k: found {k}, expected at least 1")
        k = min(k, len(self.item_ids))
        for name in without:
            if name not in self.scoring.modalities:
                raise FusionlabError(f"without: {one_of(name, self.scoring.modalities)}")
        situation = situation_asked(self.model, context)
        asked = replace(asked, situation=None if situation is None else situation[None])
        rows, scores = self._ranked(asked, k, without)
        training = self.record.coalition_training
        indexed = {} if self.index is None or without else self._told_of_index(k)
        lists = [
            Recommended(
                self.record.id,
                person.name,
                [self._item(*one) for one in zip(items, values, strict=True) if one[0] != NOTHING],
                training,
                **indexed,
                notes=[*self._notes(person), *notes_on(self.model, context)],
                context=dict(context),
            )
            for person, items, values in zip(
                asked.people, rows.tolist(), scores.tolist(), strict=True
            )
        ]
        if not explain:
            return lists
        return explained(
            lists,
            self.scoring,
            asked,
            rows,
            training,
            untrained_coalitions=untrained_coalitions,
            without=without,
        )

    def _ranked(self, asked: Asked, k: int, without: Collection[str]) -> tuple[Tensor, Tensor]:
        """Rows of items (U, k) and their scores (U, k); the index knows whole items alone."""
        scoring, n = self.scoring, len(self.item_ids)
        seen = as_clicks([sorted(person.seen) for person in asked.people], n)
        if self.index is not None and not without:
            everyone = torch.arange(len(asked.people), device=scoring.device)
            vectors = scoring.ranker.product_rows(*scoring.queries(asked)(everyone))
            return self.index.search(vectors, k, seen)
        return top_k(
            scoring.scores(asked, without),
            seen,
            torch.arange(len(asked.people)),
            k,
            block=block_of(n * scoring.ranker.n_views),
            device=scoring.device,
        )

    def _told_of_index(self, k: int) -> dict[str, Any]:
        """``recall`` and ``index`` of `Recommended`, by the lists of the first `JUDGED` users."""
        assert self.index is not None
        if k not in self._against:
            users = torch.arange(min(JUDGED, len(self.user_rows)), device=self.scoring.device)
            vectors = self.scoring.ranker.product_rows(*self.scoring.ranker.queries(users))
            self._against[k] = self.index.against_exact(vectors, k)
        told = asdict(self._against[k])
        recall, searched = told.pop("recall"), {}
        if self.index.lists:
            searched = {"probed": self.index.probed, "lists": self.index.lists}
            searched |= told if told["queries"] >= ENOUGH else {}
        return {"recall": recall, "index": searched}

    def _item(self, row: int, score: float) -> Recommendation:
        column, n, title = self.title, self.model.n_items, None
        if column is not None and row < n:
            title = self.dataset.media[column].entries[row]
        elif column is not None:
            title = self.new_items[row - n].media.get(column)
        shown = title if isinstance(title, str) else None
        return Recommendation(self.item_ids[row], score, shown, row >= n)

    def _notes(self, person: Person) -> list[str]:
        notes = [*self._notes_on_new]
        factors = self.scoring.ranker.item_factors
        new = None if factors is None else factors[self.model.n_items :]
        if new is not None and not new.any(1).all():
            notes.append("items added after training have no ID score: content alone ranks them")
        if self.scoring.by_history and not person.history:
            notes.append(f"user {person.name!r} has no history: all scores are equal")
        if not self.scoring.by_history and person.changed:
            notes.append(
                f"recommender {self.model.name!r} has learned this user's vector: feedback since "
                "training excludes items and moves nothing else"
            )
        return notes
