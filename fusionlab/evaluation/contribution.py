"""What each modality contributes to a metric of a trained model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.evaluation.knockouts import KNOCKOUTS
from fusionlab.evaluation.result import Evaluation
from fusionlab.evaluation.shapley import Coalition, Game


class Judged(Protocol):
    """A trained model that can be judged, as the tasks of training are."""

    judged: Any
    """`ItemFeatures` of all items that it is judged on, or None."""

    def judge(
        self,
        splits: Any,
        without: Collection[str] = (),
        features: ItemFeatures | None = None,
    ) -> Mapping[str, Evaluation]:
        """Measure against named splits, all items lacking some modalities, or on other features."""


@dataclass(frozen=True)
class Effect:
    """A mean over users (or items) and its standard error, in units of the metric."""

    mean: float
    error: float

    @classmethod
    def of(cls, per_unit: Tensor) -> Effect:
        """Of one figure a unit (n,)."""
        spread = float(per_unit.std()) if len(per_unit) > 1 else 0.0
        return cls(float(per_unit.mean()), spread / len(per_unit) ** 0.5)


def metric_game(task: Judged, split: Any, metric: str) -> Game:
    """v(S): the metric of every user (n,) with all modalities outside S masked in all items.

    Its Shapley values are those of each user; their mean over all users, or over a group, is the
    value for all or for the group. What a strategy says of a subset of its modalities is worth
    something only if training has shown it subsets (the record's ``coalition_training``). With
    every modality masked scores may all be equal: then the order of the items decides.

    Args:
        task: trained.
        split: clicks (or labelled items) to be judged against.
        metric: one of single users, such as ``ndcg@20`` or ``accuracy``.
    """
    assert task.judged is not None
    names = frozenset(task.judged.modalities)

    def game(coalition: Coalition) -> Tensor:
        return task.judge({"": split}, names - coalition)[""].per_unit[metric]

    return game


def knocked_out(
    task: Judged, split: Any, metric: str, modality: str, seed: int = 0
) -> dict[str, Tensor]:
    """The metric of every user (n,), with one modality made to tell nothing, by `KNOCKOUTS`."""
    found = {}
    for name, knockout in KNOCKOUTS.items():
        changed = knockout(task.judged, modality, torch.Generator().manual_seed(seed))
        if changed is not None:
            found[name] = task.judge({"": split}, features=changed)[""].per_unit[metric]
    return found
