"""How a strategy weighs its views, or its modalities, in what is recommended or predicted."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.evaluation.ranking import NOTHING, block_of, top_k
from fusionlab.fusion.contract import Fusion
from fusionlab.fusion.seen import encoded, imputed
from fusionlab.studies.build import AnyTask
from fusionlab.training.classification import ClassificationTask
from fusionlab.training.items import BLOCK, fuse_catalogue
from fusionlab.training.ranking import RankingTask


@torch.no_grad()
def mean_view_weights(task: AnyTask, units: Tensor, k: int = 10) -> dict[str, float]:
    """The strategy's own view weights, by view: the mean over users of that over their top k.

    In classification: over the items ``units``, of the class that is predicted. Empty where there
    is one view only. Weights multiply scores of views, which may differ in size: a large weight is
    no large contribution. Where clicks have situations, the weights are those of an unknown one.

    Args:
        task: trained.
        units: (n,) rows of users; in classification of items.
        k: how many recommended items count.
    """
    fusion = task.model.fusion
    if not isinstance(fusion, Fusion) or fusion.n_views == 1:
        return {}
    if isinstance(task, ClassificationTask):
        weights = _of_classes(task, fusion, units)
    else:
        weights = _of_lists(task, fusion, units, k)
    return dict(zip(fusion.view_names, weights.double().mean(0).tolist(), strict=True))


@torch.no_grad()
def mean_modality_weights(task: AnyTask, units: Tensor, k: int = 10) -> dict[str, float]:
    """The strategy's own weights of the modalities (`Fusion.modality_weights`): the mean over users
    of that over their top k, in classification over the items ``units``.

    Empty where it has none. They multiply vectors, which may differ in size: a large weight is no
    large contribution.
    """
    fusion, features = task.model.fusion, task.judged
    if not isinstance(fusion, Fusion) or features is None:
        return {}
    parts = []
    for start in range(0, len(features), BLOCK):
        some = features.part(start, start + BLOCK)
        weights = fusion.modality_weights(imputed(fusion, encoded(fusion, some)))
        if weights is None:
            return {}
        parts.append(weights.double().cpu())
    found = by_item = torch.cat(parts)
    if isinstance(task, ClassificationTask):
        found = by_item[units]
    else:
        lists, _ = top_k(task.ranker(), task.train, units, k, device=task.device)
        listed = (lists != NOTHING)[..., None]
        found = (by_item[lists.clamp(min=0)] * listed).sum(1) / listed.sum(1).clamp(min=1)
    return dict(zip(fusion.specs, found.mean(0).tolist(), strict=True))


def _of_classes(task: ClassificationTask, fusion: Fusion, units: Tensor) -> Tensor:
    items = task.judged.take(units.to(task.items.device))
    fused = fuse_catalogue(fusion, items, len(items))
    by_view = task.model.by_view(fused)
    predicted = task.model.combine(by_view, fused).argmax(1)
    present = fused.present[:, None].expand(by_view.shape)
    weights = fusion.view_weights(by_view, fused.views, present)
    return weights[torch.arange(len(items), device=weights.device), predicted].cpu()


def _of_lists(task: RankingTask, fusion: Fusion, users: Tensor, k: int) -> Tensor:
    """(n, K): means over each user's list."""
    ranker = task.ranker()
    if ranker.items is None:
        return torch.empty(0, fusion.n_views)
    lists, _ = top_k(ranker, task.train, users, k, device=task.device)
    block = block_of(task.train.n_items * fusion.n_views)
    found = []
    for some, items in zip(users.split(block), lists.split(block), strict=True):
        query, _ = ranker.queries(some.to(task.device))
        assert query is not None
        scores = torch.einsum("bkd,nkd->bnk", query, ranker.items.views)
        present = ranker.items.present.expand(scores.shape)
        asking = task.model.asking(query)
        weights = fusion.view_weights(scores, asking, present).cpu()
        listed = items != NOTHING
        at = items.clamp(min=0)[..., None].expand(-1, -1, weights.shape[2])
        shown = weights.gather(1, at) * listed[..., None]
        found.append(shown.sum(1) / listed.sum(1, keepdim=True).clamp(min=1))
    return torch.cat(found)
