"""Raw text, pictures and sounds whose answer is known, through encoders and fusion."""

import importlib.util
from pathlib import Path

import pytest

from fusionlab.config import load_experiment
from fusionlab.encoders.encode import Machine
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

SCRIPT = Path(__file__).parents[2] / "experiments" / "recovered_atoms.py"
CONFIG = Path(__file__).parents[2] / "configs" / "experiments" / "recovered_atoms.yaml"
CATALOGUE = ["dataset.items=2000", "dataset.classes=2"]


@pytest.fixture(scope="module")
def script():
    """The experiment that docs and readers run."""
    spec = importlib.util.spec_from_file_location("recovered_atoms", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_each_encoder_recovers_its_atoms(script, runs):
    """Within three standard errors of the Bayes accuracy, on 200 validation items."""
    experiment = load_experiment(CONFIG, CATALOGUE)
    found = list(script.recovered(load_dataset(experiment, runs.features, Machine(workers=0))))
    assert len(found) == 9
    for modality, atom, accuracy, bayes in found:
        spread = max(bayes * (1 - bayes), 0.02) ** 0.5 / 200**0.5
        assert accuracy > bayes - 3 * spread, (modality, atom, accuracy)


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
