"""Recommenders that know a user by the clicks in the history alone."""

from __future__ import annotations

import copy

from fusionlab.data.interactions import Clicks
from fusionlab.recommenders.contract import Recommender
from fusionlab.recommenders.history import History


class ByHistory(Recommender):
    """A recommender whose users are rows of `history` and nothing else.

    What was learned (parameters, similarities of items) belongs to items, so the same recommender
    serves people that training never saw.
    """

    by_history = True
    history: History

    def know(self, clicks: Clicks) -> None:
        """Take the rows of ``clicks`` for the users."""
        self.n_users = clicks.n_users
        self.history = History(clicks)

    def of_people(self, clicks: Clicks) -> Recommender:
        """See `Recommender.of_people`."""
        if not self.by_history:  # as it was set up: it has learned ID factors of users besides
            return super().of_people(clicks)
        shared: dict[int, object] = {id(x): x for x in (*self.parameters(), *self.buffers())}
        people = copy.deepcopy(self, shared | {id(self.fusion): self.fusion})
        people.know(clicks)
        return people.to(self.history.items.device)
