"""The oracle of a synthetic catalogue: true tastes, true atoms."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.synthetic.truth import SITUATION
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context, Recommender
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews


@RECOMMENDERS.register("oracle")
class Oracle(Recommender):
    """Rank by the true utility, or by what a coalition of modalities lets one know of it.

    s(u, i) = E[utility(u, i) | codes of the modalities in ``observes``, the situation if told]

    Options:
        observes: the modalities it may look at (default: the atoms themselves)
        additive: use only what sums over single modalities can express (no synergy)
    """

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        observes: tuple[str, ...] | None = None,
        additive: bool = False,
    ) -> None:
        super().__init__(context, fusion)
        if context.truth is None:
            raise FusionlabError(
                "recommender 'oracle' needs a dataset with a known truth: dataset.name=synthetic"
            )
        self.truth, self.observes, self.additive = context.truth, observes, additive

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores from the truth."""
        return _OracleRanker(self, items)


class _OracleRanker(Ranker):
    recommender: Oracle

    def __call__(self, users: Tensor) -> Tensor:
        return self._utility(users, None)

    def situated(self, users: Tensor, situations: Tensor) -> Tensor:
        """It knows what each situation means."""
        known = self.recommender.context.situations
        if known is None or SITUATION not in known.reads:
            return self(users)
        numbers = [int(value) for value in known.values[SITUATION]]
        place = [*known.values].index(SITUATION)
        of_code = torch.tensor([*numbers, self.recommender.truth.situations])
        return self._utility(users, of_code[situations[:, place].cpu()])

    def _utility(self, users: Tensor, situations: Tensor | None) -> Tensor:
        truth = self.recommender.truth
        if self.recommender.additive:
            return truth.additive_utility(users, situations=situations)
        if self.recommender.observes is not None:
            return truth.coalition_utility(users, self.recommender.observes, situations)
        return truth.utility(users, situations)
