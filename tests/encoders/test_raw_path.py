"""Raw text, pictures and sounds whose answer is known, through encoders and fusion."""

import importlib.util
from pathlib import Path

import pytest

from fusionlab.config import experiment_from
from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.encoders.encode import Machine, encode
from fusionlab.schema import validate
from fusionlab.sections import Encoding
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

SCRIPT = Path(__file__).parents[2] / "experiments" / "recovered_atoms.py"
CATALOGUE = {"items": 2000, "features": "rendered", "task": "classification", "classes": 2}
SPLIT = {"name": "ratio", "valid": 0.2, "test": 0.3}


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
    dataset = Synthetic(flip=0.1, **CATALOGUE).load()
    encodings = {
        name: validate(Encoding, {"of": name, "encoder": part})
        for name, part in script.BASELINES.items()
    }
    columns = encode(dataset, encodings, runs.features, Machine(workers=0))
    found = list(script.recovered(dataset, columns))
    assert len(found) == 9
    for modality, atom, accuracy, bayes in found:
        spread = max(bayes * (1 - bayes), 0.02) ** 0.5 / 200**0.5
        assert accuracy > bayes - 3 * spread, (modality, atom, accuracy)


@pytest.mark.slow
def test_fusion_beats_the_best_single_modality(script, runs):
    """Two classes by five atoms, of which a modality alone holds two."""
    experiment = experiment_from(
        {
            "task": "classification",
            "dataset": {"name": "synthetic", **CATALOGUE, "split": SPLIT},
            "encoders": {n: {"of": n, "encoder": part} for n, part in script.BASELINES.items()},
            "inputs": {"energy": 0.95},
            "dim": 32,
            "fusion": "sum",
            "training": {"epochs": 60, "batch_size": 256, "learning_rate": 0.01},
        }
    )
    fused = run_experiment(experiment, runs).metrics["test"]["accuracy"]
    alone = [
        run_experiment(experiment.varied({"inputs.modalities": [name]}), runs)
        for name in script.BASELINES
    ]
    best = max(record.metrics["test"]["accuracy"] for record in alone)
    assert fused > best + 3 * 0.5 / 600**0.5, "three standard errors of 600 test items"
