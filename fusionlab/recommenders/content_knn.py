"""Neighbours by content: items whose features are like those of the history."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.by_history import ByHistory
from fusionlab.recommenders.catalogue_product import CatalogueProduct
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.neighbours import comparable, directions
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews


@RECOMMENDERS.register("content_knn")
class ContentKnn(ByHistory):
    """Items like those in the history, by raw features: neither training nor fusion.

    s(u, i) = mean over the modalities m of i of mean_j cos(x_im, x_jm), j the items of u's history
    that have m

    x are the features as `inputs` prepares them, tokens averaged. A modality that no item of the
    history has counts 0; items without clicks, and those added after training, are served like any
    other. One product a modality: the mean of cosines is the product with the mean of unit vectors.
    """

    reads_features = True

    def __init__(self, context: Context, fusion: Fusion | None) -> None:
        super().__init__(context, fusion)
        assert context.features is not None
        comparable(context.features, self.name)
        self.know(context.clicks)

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores from unit vectors of the whole catalogue, made once: N sum_m d_m numbers."""
        return _ContentKnnRanker(self, self.context.features if features is None else features)


class _ContentKnnRanker(Ranker):
    recommender: ContentKnn
    product: CatalogueProduct

    def __init__(self, recommender: ContentKnn, features: ItemFeatures | None) -> None:
        super().__init__(recommender, None)
        assert features is not None
        found = [directions(features, m) for m in comparable(features, recommender.name)]
        there = torch.stack([on for _, on in found], 1)
        # A last column counts: its sum over a history is how many of its items have the modality.
        self.tables = [torch.cat([x, on[:, None].float()], 1) for x, on in found]
        count = there.sum(1, keepdim=True).clamp(min=1)
        self.product = CatalogueProduct(torch.cat([x for x, _ in found], 1) / count)

    def __call__(self, users: Tensor) -> Tensor:
        sums = [self.recommender.history.sums(users, table) for table in self.tables]
        return self.product(torch.cat([x[:, :-1] / x[:, -1:].clamp(min=1) for x in sums], 1))
