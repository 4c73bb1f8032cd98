"""Encoders that are trained with the recommender."""

import math
from dataclasses import replace

import pytest
import torch
from letters import LetterClasses, Letters, encoding

from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import experiment_from
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.encoders.encode import encoded_dataset
from fusionlab.encoders.store import FeatureStore
from fusionlab.encoders.trained import trained_encoders
from fusionlab.errors import ConfigError
from fusionlab.fusion.contract import FUSIONS
from fusionlab.fusion.imputers.contract import IMPUTERS
from fusionlab.schema import validate
from fusionlab.sections import Training
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.identity import run_id
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.classification import ClassificationTask, Classifier
from fusionlab.training.loop import Loop

ENCODERS = {"text": {"of": "title", "encoder": "letters", "batch_size": 8, "trained": True}}


@pytest.fixture
def experiment():
    return experiment_from(
        {
            "task": "classification",
            "dataset": "letter_classes",
            "encoders": ENCODERS,
            "dim": 8,
            "training": {"epochs": 30, "batch_size": 16, "learning_rate": 0.02},
        }
    )


@pytest.fixture
def dataset(tmp_path):
    one = encoding(batch_size=8).model_copy(update={"trained": True})
    found = encoded_dataset(LetterClasses().load(), {"text": one}, FeatureStore(tmp_path))
    return found, trained_encoders(found, {"text": one})


def test_row_numbers_become_the_features_that_would_be_stored(dataset, tmp_path):
    found, encoders = dataset
    stored = encoded_dataset(
        LetterClasses().load(), {"text": encoding(batch_size=8)}, FeatureStore(tmp_path)
    )
    rows = torch.tensor([7, 10, 3, 55, 7])
    live = encoders(found.features.take(rows))
    expected = stored.features.take(rows)
    torch.testing.assert_close(live.values["text"], expected.values["text"])
    assert torch.equal(live.mask["text"], expected.mask["text"])
    assert live.mask["text"][:, 0].tolist() == [True, False, True, True, True]


def test_a_masked_item_is_not_encoded(dataset):
    found, encoders = dataset
    items = found.features.take(torch.tensor([1, 2, 3]))
    off = items.masked({"text": torch.tensor([False, True, False])})
    encoders(off).values["text"].sum().backward()
    letters = {int(k) for row in (1, 3) for k in found.prepared["text"][row]["letters"]}
    moved = encoders.encoders["text"].table.grad.abs().sum(1).nonzero().flatten().tolist()
    assert set(moved) == letters


def test_without_the_modality_there_is_nothing_to_encode(dataset):
    _, encoders = dataset
    assert encoders(ItemFeatures({}, {})).modalities == ()


def test_the_encoder_learns_with_the_classifier(experiment, tmp_path):
    store = RunStore(tmp_path)
    task = build_task(experiment, load_dataset(experiment, store.features))
    names = [name for name, _ in task.model.named_parameters()]
    assert "fusion.trained_encoders.encoders.text.table" in names
    record = run_experiment(experiment, store)
    assert record.metrics["test"]["accuracy"] > 0.85
    frozen = {"text": {**ENCODERS["text"], "trained": False, "encoder": "letters"}}
    fixed = run_experiment(experiment.varied({"encoders": frozen}), store)
    assert record.cost.parameters > fixed.cost.parameters
    assert record.id != fixed.id


@pytest.mark.parametrize("change", [{"encoders.text.encoder": {"name": "letters", "seed": 1}}])
def test_another_encoder_is_another_run(experiment, change, tmp_path):
    store = FeatureStore(tmp_path)
    one, other = (
        load_dataset(e, store).fingerprint for e in (experiment, experiment.varied(change))
    )
    assert one != other


def test_other_initial_weights_are_another_run(experiment, tmp_path, monkeypatch):
    """A folder of weights may change under the same configuration."""
    first = load_dataset(experiment, FeatureStore(tmp_path)).fingerprint
    built = Letters.__init__

    def changed(self, **options):
        built(self, **options)
        self.table.data[0] += 1

    monkeypatch.setattr(Letters, "__init__", changed)
    monkeypatch.setattr("fusionlab.studies.datasets._datasets", {})
    assert load_dataset(experiment, FeatureStore(tmp_path)).fingerprint != first


def test_an_encoder_learns_at_a_rate_of_its_own(experiment, tmp_path):
    own = experiment.varied({"encoders.text.learning_rate": 1e-6})
    store = RunStore(tmp_path)
    dataset = load_dataset(own, store.features)
    task = build_task(own, dataset)
    before = {name: x.detach().clone() for name, x in task.model.named_parameters()}
    Loop(task, own.training, own.runtime, seed=0).train_epoch()
    moved = {name: (x - before[name]).abs().max() for name, x in task.model.named_parameters()}
    inner = {name for name in moved if "trained_encoders" in name}
    assert inner
    assert inner != moved.keys()
    for name, distance in moved.items():
        rate = 1e-6 if name in inner else own.training.learning_rate
        # AdamW's first step is the rate itself, none is longer than 3.2 of it; an epoch has 3
        assert 0.3 * rate < distance < 3 * 3.2 * rate, name
    assert run_id(own, dataset.fingerprint) != run_id(experiment, dataset.fingerprint)


def test_a_frozen_encoder_has_no_learning_rate(experiment):
    with pytest.raises(
        ConfigError, match=r"encoders\.text\.learning_rate: found 0.1.*trained: true"
    ):
        experiment.varied(
            {"encoders": {"text": {**ENCODERS["text"], "trained": False, "learning_rate": 0.1}}}
        )


def test_every_mistake_names_its_modality(experiment):
    wrong = {
        "encoders.text.batchsize": 3,
        "encoders.sound": {"of": "title", "encoder": {"name": "letters", "widht": 3}},
    }
    with pytest.raises(ConfigError) as error:
        experiment.varied(wrong)
    told = str(error.value).splitlines()
    assert [line.split(":")[0] for line in told] == [
        "encoders.text.batchsize",
        "encoders.sound.encoder.widht",
    ]
    assert "did you mean 'batch_size'" in told[0]
    with pytest.raises(ConfigError, match="encoders: found 'tfidf', expected names"):
        experiment.varied({"encoders": "tfidf"})


def test_closed_forms_are_fitted_on_what_the_encoder_gives(experiment, tmp_path):
    store = RunStore(tmp_path)
    with_pca = experiment.varied({"fusion": "pca", "dim": 4})
    task = build_task(with_pca, load_dataset(with_pca, store.features))
    assert all(x.isfinite().all() for x in task.model.state_dict().values())


@pytest.mark.parametrize("strategy", ["concat", "pca"])
def test_a_trained_encoder_is_its_modalitys_own_beside_stored_features(dataset, strategy):
    _, encoders = dataset
    specs = {"image": FeatureSpec(5), "text": encoders.encoders["text"].spec}
    fusion = FUSIONS.parse(strategy).build(specs, 4)
    before = {name: {*map(id, fusion.modality_parameters(name))} for name in specs}
    encoders.attach(fusion)
    inner = {*map(id, encoders.parameters())}
    own = {name: [*map(id, fusion.modality_parameters(name))] for name in specs}
    assert len(own["text"]) == len({*own["text"]})
    assert {*own["text"]} == before["text"] | inner > before["text"]
    assert {*own["image"]} == before["image"]
    imputer = IMPUTERS.parse("learned").build(specs)
    imputer.attach(fusion)
    for name in specs:
        vector = {id(imputer.vectors[name])}
        assert {*map(id, fusion.modality_parameters(name))} == {*own[name]} | vector


def test_balancers_scale_gradients_of_a_trained_encoder(dataset):
    found, encoders = dataset
    stored = torch.randn(120, 1, 5, generator=torch.Generator().manual_seed(0))
    features = replace(
        found.features,
        values=found.features.values | {"image": stored},
        mask=found.features.mask | {"image": torch.ones(120, 1, dtype=torch.bool)},
    )
    torch.manual_seed(0)
    fusion = FUSIONS.parse("concat").build(encoders.specs(features), 4)
    encoders.attach(fusion)
    model, table = Classifier(fusion, 2), encoders.encoders["text"].table
    training, labels = validate(Training, {}), found.labels
    options = {"name": "ogm_ge", "alpha": 0.8, "noise": False}
    gradients = {}
    for part in ("none", options):
        balancer = BALANCERS.parse(part).build(features.modalities)
        task = ClassificationTask(model, labels, features, training, "accuracy", balancer=balancer)
        model.zero_grad(set_to_none=True)
        balancer.backward(task.step(torch.arange(40), torch.Generator()))
        gradients[balancer.name] = table.grad.clone()
    scale = balancer.scale[features.modalities.index("text")]
    torch.testing.assert_close(gradients["ogm_ge"], gradients["none"] * scale)
    model.zero_grad(set_to_none=True)
    balancer.lead = lambda _: torch.full((2,), 2.0)  # whoever is ahead
    balancer.backward(task.step(torch.arange(40), torch.Generator()))
    torch.testing.assert_close(table.grad, gradients["none"] * (1 - math.tanh(1.6)))
