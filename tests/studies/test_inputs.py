"""Prepared features: the right ones for every configuration, computed once, mapped by all."""

import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.reduction import reduce_features
from fusionlab.data.room import joined
from fusionlab.data.scaling import rescale
from fusionlab.studies import inputs
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.identity import inputs_id
from fusionlab.studies.inputs import prepare_features

TRAIN = torch.arange(30)


@pytest.fixture
def experiment():
    dataset = {"name": "synthetic", "users": 20, "items": 40, "clicks": 5}
    return experiment_from({"dataset": dataset, "inputs": {"energy": 0.9}})


@pytest.fixture
def computed(monkeypatch):
    """How often features were computed; nothing is left from other tests."""
    calls = []
    inputs._latest.clear()
    monkeypatch.setattr(
        inputs, "rescale", lambda *arguments: calls.append(arguments) or rescale(*arguments)
    )
    return calls


@pytest.mark.parametrize("stored", ["fp32", "bf16"])
@pytest.mark.parametrize("shared", [False, True])
def test_features_are_what_the_configuration_says(experiment, computed, tmp_path, stored, shared):
    experiment = experiment.varied({"runtime.features": stored})
    dataset = load_dataset(experiment)
    share = tmp_path / "share" if shared else None
    want = reduce_features(rescale(dataset.features, TRAIN, "modality"), TRAIN, 0.9)
    want = want.to(dtype=torch.bfloat16 if stored == "bf16" else torch.float32)
    for _ in range(2):
        found = prepare_features(experiment, dataset, TRAIN, share)
        for name in want.modalities:
            on = want.mask[name]
            assert torch.equal(found.mask[name], on)
            assert torch.equal(found.values[name][on], want.values[name][on])
            assert found.values[name].dtype == want.values[name].dtype
    assert len(computed) == 1


def test_another_process_maps_the_file_instead_of_computing(experiment, computed, tmp_path):
    dataset = load_dataset(experiment)
    first = prepare_features(experiment, dataset, TRAIN, tmp_path)
    inputs._latest.clear()  # as another process begins
    second = prepare_features(experiment, dataset, TRAIN, tmp_path)
    assert len(computed) == 1
    assert len(list(tmp_path.glob("*.pt"))) == 1
    for name, values in first.values.items():
        assert torch.equal(values, second.values[name])
    # Copy on write: what one process scribbles reaches neither the file nor the others.
    first.values["text"].fill_(7)
    inputs._latest.clear()
    third = prepare_features(experiment, dataset, TRAIN, tmp_path)
    assert torch.equal(third.values["text"], second.values["text"])


@pytest.mark.parametrize(
    "change",
    [
        {"inputs.scaling": "feature"},
        {"inputs.energy": 0.8},
        {"inputs.modalities": ["text"]},
        {"inputs.shuffled": True},
        {"runtime.features": "bf16"},
        {"runtime.threads": 2},
        {"task": "classification"},
    ],
    ids=str,
)
def test_another_configuration_has_other_features(experiment, change):
    assert inputs_id(experiment.varied(change), "data") != inputs_id(experiment, "data")
    assert inputs_id(experiment, "data") != inputs_id(experiment, "other data")


def test_only_shuffled_features_depend_on_the_seed(experiment):
    other = experiment.varied({"seed": 1})
    assert inputs_id(experiment, "data") == inputs_id(other, "data")
    shuffled = {"inputs.shuffled": True}
    assert inputs_id(experiment.varied(shuffled), "data") != inputs_id(
        other.varied(shuffled), "data"
    )


@pytest.mark.parametrize("stored", ["fp32", "bf16"])
def test_what_is_made_of_large_features_is_held_on_disk(
    stored, experiment, computed, monkeypatch, tmp_path
):
    held = []

    def noted(parts, shape, dtype, folder=None):
        held.append((dtype, folder))
        return joined(parts, shape, dtype, folder)

    monkeypatch.setattr("fusionlab.data.reduction.joined", noted)
    monkeypatch.setattr("fusionlab.studies.inputs.joined", noted)
    experiment = experiment.varied({"runtime.features": stored})
    prepare_features(experiment, load_dataset(experiment), TRAIN, scratch=tmp_path)
    reduced, cast = [(torch.float32, tmp_path)] * 3, [(torch.bfloat16, tmp_path)] * 3
    assert held == (reduced + cast if stored == "bf16" else reduced)
