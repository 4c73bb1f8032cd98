"""The record claims only what of coalitions was trained."""

import pytest

from fusionlab.config import experiment_from
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

SMALL = {
    "dataset": {"name": "synthetic", "users": 30, "items": 40, "clicks": 6},
    "dim": 4,
    "training": {"epochs": 1, "batch_size": 128},
    "evaluation": {"cutoffs": [5]},
}


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        ({"inputs": {"missing": {"train": 0.3}}}, "missing items"),
        ({"inputs": {"missing": {"train": 0.3, "modalities": ["text"]}}}, "missing items (text)"),
        ({"inputs": {"missing": {"test": 0.3}}}, "none"),
        ({"balancer": {"name": "unimodal_losses", "weight": 0}}, "none"),
        ({"balancer": {"name": "modality_dropout", "rate": 0}}, "none"),
        ({"balancer": {"name": "fixed_weights", "weight": {}}}, "none"),
        (
            {
                "balancer": {"name": "fixed_weights", "weight": {"audio": 1}},
                "inputs": {"missing": {"train": 0.3, "modalities": ["audio", "text"]}},
            },
            "missing items (text, audio), unimodal losses (audio)",
        ),
        ({"balancer": "pmr"}, "prototype losses"),
        ({"inputs": {"modalities": ["text"]}, "training": {"modality_dropout": 0.5}}, "none"),
    ],
    ids=str,
)
def test_the_record_claims_only_coalitions_that_were_trained(changes, trained, tmp_path):
    training = SMALL["training"] | changes.get("training", {})
    experiment = experiment_from({**SMALL, **changes, "training": training})
    assert run_experiment(experiment, RunStore(tmp_path)).coalition_training == trained
