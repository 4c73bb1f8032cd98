"""What modalities are worth to models of their own."""

import torch

from fusionlab.config import experiment_from
from fusionlab.studies.retrained import retrained_game
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

SMALL = {
    "dataset": {"name": "synthetic", "users": 40, "items": 30, "clicks": 8},
    "dim": 4,
    "training": {"epochs": 1, "batch_size": 128},
    "evaluation": {"cutoffs": [5]},
}


def test_each_subset_has_a_run_of_its_own(tmp_path):
    store, experiment = RunStore(tmp_path), experiment_from(SMALL)
    game = retrained_game(experiment, store, "ndcg@5", nothing=torch.tensor(0.25))
    assert game(frozenset()) == 0.25
    assert store.runs() == []
    found = game(frozenset({"text", "audio"}))
    alone = run_experiment(experiment.varied({"inputs.modalities": ["audio", "text"]}), store)
    assert found == torch.tensor(alone.metrics["valid"]["ndcg@5"])
    assert store.runs() == [alone.id]
