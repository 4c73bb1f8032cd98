"""What a trained model is worth where one modality is missing from the whole catalogue."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from fusionlab.evaluation.result import Evaluation

if TYPE_CHECKING:
    from fusionlab.studies.build import AnyTask

ONE_MISSING = "one missing"


def one_missing(
    task: AnyTask,
    splits: Mapping[str, Any],
    found: Mapping[str, Evaluation],
    modalities: Mapping[str, Collection[str]],
) -> dict[str, Evaluation]:
    """``found``, and of each metric of single users: ``NAME without MODALITY``, the metric with
    that modality masked in all items, and ``NAME one missing``, the mean over modalities.

    ``modalities`` are those of the dataset, each with the names it has among features
    (`missing_in_turn`): the same for every row of a study. A model loses nothing by one that it
    does not read. What a strategy says of a subset of its modalities is worth something only if
    training has shown it subsets (the record's ``coalition_training``).
    """
    read = set(() if task.judged is None else task.judged.modalities)
    lost = {
        name: task.judge(splits, read & set(names)) if read & set(names) else found
        for name, names in modalities.items()
    }
    return {split: _beside(result, split, lost) for split, result in found.items()}


def _beside(
    result: Evaluation, split: str, lost: Mapping[str, Mapping[str, Evaluation]]
) -> Evaluation:
    per_unit = dict(result.per_unit)
    for metric, whole in result.per_unit.items():
        by_name = {name: judged[split].per_unit[metric] for name, judged in lost.items()}
        per_unit |= {f"{metric} without {name}": values for name, values in by_name.items()}
        values = [*by_name.values()] or [whole]
        per_unit[f"{metric} {ONE_MISSING}"] = torch.stack(values).mean(0)
    return replace(result, per_unit=per_unit)
