"""What a finished run gained of each atom, where the right answer is known."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fusionlab.data.dataset import Dataset
from fusionlab.evaluation.atom_gains import class_gains, ranking_gains
from fusionlab.evaluation.result import Evaluation
from fusionlab.training.classification import ClassificationTask
from fusionlab.training.ranking import RankingTask


@torch.no_grad()
def gains_of_atoms(
    dataset: Dataset, task: RankingTask | ClassificationTask, evaluations: Mapping[str, Evaluation]
) -> dict[str, dict[str, float]]:
    """``gain`` of the model by atom, and ``oracle_gain`` of one who knows the answer.

    Empty where the answer is not known, or is another in each situation. It is no part of judging a
    run: its seconds are not those of the evaluation, and of test it reads which items it has, not
    their labels.
    """
    truth = dataset.truth
    if truth is None or truth.situations > 1:
        return {}
    if isinstance(task, ClassificationTask):
        assert truth.class_of is not None
        items = evaluations["test"].units
        predicted = task.logits()[items].argmax(1)
        right = truth.class_of[tuple(truth.observed[items].T)]
        found, most = (class_gains(truth, items, classes) for classes in (predicted, right))
    else:
        found = ranking_gains(truth, task.ranker(), task.train, device=task.device)
        most = ranking_gains(truth, truth.utility, task.train)
    return {"gain": found, "oracle_gain": most}
