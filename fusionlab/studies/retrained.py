"""What modalities are worth to models of their own: the slow and honest game beside masking."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.config import Experiment
from fusionlab.evaluation.shapley import Coalition, Game
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore


def retrained_game(experiment: Experiment, store: RunStore, metric: str, nothing: Tensor) -> Game:
    """v(S), a scalar: the metric on validation of the experiment trained on the modalities S alone.

    No model reads nothing: the worth of no modality is given. Runs that are in the store are not
    trained again.
    """

    def game(coalition: Coalition) -> Tensor:
        if not coalition:
            return nothing
        changes = {"inputs.modalities": sorted(coalition)}
        record = run_experiment(experiment.varied(changes), store)
        assert record is not None
        return torch.tensor(record.metrics["valid"][metric])

    return game
