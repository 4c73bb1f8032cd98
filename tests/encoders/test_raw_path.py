"""Raw text, pictures and sounds whose answer is known, through encoders and fusion."""

from pathlib import Path

import pytest

from fusionlab.config import load_experiment
from fusionlab.encoders.encode import Machine
from fusionlab.evaluation.atom_probes import probe_atoms
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

CONFIG = Path(__file__).parents[2] / "configs" / "experiments" / "recovered_atoms.yaml"
CATALOGUE = ["dataset.items=2000", "dataset.classes=2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_each_encoder_recovers_its_atoms(runs):
    """Within three standard errors of the Bayes accuracy, on 200 validation items."""
    experiment = load_experiment(CONFIG, CATALOGUE)
    found = [*probe_atoms(load_dataset(experiment, runs.features, Machine(workers=0)))]
    assert len(found) == 9
    for one in found:
        spread = max(one.bayes * (1 - one.bayes), 0.02) ** 0.5 / 200**0.5
        assert one.accuracy > one.bayes - 3 * spread, one


@pytest.mark.slow
def test_fusion_beats_the_best_single_modality(runs):
    """Two classes by five atoms, of which a modality alone holds two."""
    how = [
        "dataset.flip=0",
        "dataset.split={name: ratio, valid: 0.2, test: 0.3}",
        "inputs.energy=0.95",
        "dim=32",
        "fusion=sum",
        "training={epochs: 60, batch_size: 256, learning_rate: 0.01}",
    ]
    experiment = load_experiment(CONFIG, [*CATALOGUE, *how])
    fused = run_experiment(experiment, runs).metrics["test"]["accuracy"]
    alone = [
        run_experiment(experiment.varied({"inputs.modalities": [name]}), runs)
        for name in experiment.encodings
    ]
    best = max(record.metrics["test"]["accuracy"] for record in alone)
    assert fused > best + 3 * 0.5 / 600**0.5, "three standard errors of 600 test items"
