"""A modality, or a context, that the trained model never reads is said loudly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import Recommender
from fusionlab.recommenders.step import ItemViews
from fusionlab.studies.build import AnyTask
from fusionlab.training.classification import ClassificationTask
from fusionlab.training.ranking import RankingTask

ITEMS, USERS = 64, 32
SAME = 1e-6
"""Differences up to this share of the range of scores are none."""


@dataclass(frozen=True)
class Sample:
    """A few items that have a modality, as rows (n,), and users who clicked some of them (b,)."""

    items: Tensor
    users: Tensor


@torch.no_grad()
def unused_modalities(task: AnyTask) -> list[str]:
    """A sentence for each modality that makes no difference to the scores of a trained model.

    Scores of at most 64 items that have the modality, for 32 users, are the same with it masked in
    the candidates and in the users' histories alike: bitwise, or within 1e-6 of their range. Such
    a model was perhaps trained with the modality (BM3 drops it when it recommends), but a table
    that calls it multimodal would be wrong. Costs two passes over 64 items a modality.
    """
    if task.judged is None or task.model.fusion is None:  # features as such are always read
        return []
    found = []
    # Few items are not worth a compilation of their own.
    with torch.compiler.set_stance("force_eager"):
        for name in task.judged.modalities:
            sample = _sample(task, task.judged.present(name).nonzero()[:, 0].cpu())
            if len(sample.items):
                with_it, without = (_scores(task, sample, off) for off in ((), (name,)))
                if _same(with_it, without):
                    found.append(
                        f"modality {name!r} is not used: without it all scores are the same"
                    )
    return found


def unused_context(task: AnyTask) -> list[str]:
    """A sentence if clicks have a context that the model is told of and its strategy cannot use."""
    model = task.model
    if not isinstance(model, Recommender) or model.fusion is None or model.fusion.by_query:
        return []
    situations = model.context.situations
    if situations is None or not situations.reads:
        return []
    return [
        f"context {', '.join(situations.reads)} is not used: fusion {model.fusion.name!r} weighs "
        f"its views alike for everyone; those that do not: {', '.join(adaptive())}"
    ]


def adaptive() -> list[str]:
    """The strategies, as they are by default, whose view weights adapt to user and situation."""
    return [name for name in FUSIONS.names() if FUSIONS[name].by_query]


def _same(first: Tensor, second: Tensor) -> bool:
    """Are the scores (b, n) of two models the same?"""
    if torch.equal(first, second):
        return True
    span = first.max() - first.min()
    return bool((first - second).abs().max() <= SAME * span)


def _sample(task: AnyTask, having: Tensor) -> Sample:
    """Of the items ``having`` the modality those first that some users have clicked."""
    generator = torch.Generator().manual_seed(0)
    having = having[torch.randperm(len(having), generator=generator)]
    if isinstance(task, ClassificationTask):
        return Sample(having[:ITEMS], torch.empty(0))
    users = task.train.some_users(USERS)
    clicked = task.train.only(users).popularity[having] > 0
    return Sample(torch.cat([having[clicked], having[~clicked]])[:ITEMS], users)


def _scores(task: AnyTask, sample: Sample, without: tuple[str, ...]) -> Tensor:
    """Scores (b, n); logits (n, C)."""
    assert task.judged is not None
    rest = [name for name in task.judged.modalities if name not in without]
    device = next(iter(task.judged.mask.values())).device
    items = task.judged.take(sample.items.to(device)).only(rest)
    if isinstance(task, ClassificationTask):
        return task.model(items).float()
    return _of_users(task, sample, items)


def _of_users(task: RankingTask, sample: Sample, items: ItemFeatures) -> Tensor:
    """The catalogue is as large as ever, but has nothing but the few items in it."""
    fusion = task.model.fusion
    assert fusion is not None
    fused, rows = fusion(items), sample.items.to(task.device)
    shape = (len(task.judged or ()), *fused.views.shape[1:])
    views = fused.views.new_zeros(shape, dtype=torch.float32).index_copy(
        0, rows, fused.views.float()
    )
    present = fused.present.new_zeros(shape[:2]).index_copy(0, rows, fused.present)
    ranker = task.model.ranker(ItemViews(views, present))
    return ranker(sample.users.to(task.device))[:, rows].clone()
