"""Augmentations in training: who sees them, whose draws they are, what is refused."""

import pytest
import torch
from torch import nn

from fusionlab.config import experiment_from
from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.store import FeatureStore
from fusionlab.errors import ConfigError
from fusionlab.fusion.contract import FUSIONS
from fusionlab.sections import Runtime
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.training import loop as loop_module
from fusionlab.training.augmented import Augmented
from fusionlab.training.loop import Loop

VECTORS = {"text": {"name": "feature_noise", "sigma": 0.5}, "image": "feature_mixup"}
RAW = {
    "text": "token_dropout",
    "image": {"name": "crop_jitter", "scale": 0.3},
    "audio": {"name": "spec_augment", "time": 0.5, "frequency": 0.5},
}
ENCODERS = {
    "text": {"of": "text", "encoder": {"name": "tfidf", "width": 8}},
    "image": {
        "of": "image",
        "encoder": {
            "name": "image_timm",
            "model": "test_resnet",
            "pretrained": False,
            "steps": {"size": 32},
        },
        "trained": True,
    },
    "audio": {
        "of": "audio",
        "encoder": {"name": "audio_recurrent", "hidden": 8, "steps": {"seconds": 0.5}},
        "trained": True,
    },
}


def vectors(**more):
    return experiment_from(
        {
            "dataset": {"name": "synthetic", "users": 40, "items": 50, "clicks": 8, "seed": 1},
            "fusion": "gated",
            "dim": 8,
            "recommender": "hybrid",
            "augmentation": VECTORS,
            "training": {"batch_size": 64, "epochs": 4, "patience": 9},
            **more,
        }
    )


def raw(augmentation):
    options = {"name": "synthetic", "users": 20, "items": 24, "clicks": 6, "features": "rendered"}
    return experiment_from(
        {
            "dataset": options,
            "encoders": ENCODERS,
            "fusion": "sum",
            "dim": 8,
            "recommender": {"name": "hybrid", "item_ids": False},
            "augmentation": augmentation,
            "training": {"batch_size": 64, "epochs": 3},
        }
    )


def task_of(experiment, folder=None):
    store = FeatureStore(folder) if folder else None
    torch.manual_seed(0)
    task = build_task(experiment, load_dataset(experiment, store))
    task.prepare()
    return task


def heard(task):
    """What the fusion is given in one step, pass by pass, before trained encoders."""
    seen = []
    task.model.fusion.register_forward_pre_hook(
        lambda _, given: seen.append(given[0]), prepend=True
    )
    batch = next(task.batches(torch.Generator().manual_seed(1)))
    task.step(batch, torch.Generator().manual_seed(2))
    return seen


def test_only_the_joint_pass_of_a_step_is_changed():
    task = task_of(vectors(balancer="unimodal_losses"))
    joint, *coalitions = heard(task)
    batch = next(task.batches(torch.Generator().manual_seed(1)))
    plain = task.features.take(task.distinct(task.model.items_needed(batch))[0])
    for name in plain.modalities:
        same = torch.equal(joint.values[name], plain.values[name])
        assert same == (name not in VECTORS)
        for one in coalitions:
            if name in one.values:
                repeated = plain.values[name].repeat(len(one) // len(plain), 1, 1)
                assert torch.equal(one.values[name], repeated)
    task.model.eval()
    assert task.validate() == task.validate()
    before = [x.clone() for x in task.features.values.values()]
    task.step(batch, torch.Generator())
    assert all(map(torch.equal, before, task.features.values.values()))


def test_without_augmentations_nothing_is_drawn():
    generator = torch.Generator().manual_seed(5)
    items = ItemFeatures({"text": torch.ones(2, 1, 1)}, {"text": torch.ones(2, 1).bool()})
    assert Augmented({})(items, nn.Identity(), generator) is items
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(5).get_state())


class Killed(Exception):
    pass


def kill(entry):
    if entry["epoch"] == 2:
        raise Killed


@pytest.mark.parametrize("kind", ["vectors", "raw"])
def test_resuming_repeats_the_bits(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    experiment = vectors() if kind == "vectors" else raw({k: RAW[k] for k in ("image", "audio")})

    def loop(task, **more):
        return Loop(task, experiment.training, Runtime(), seed=3, **more)

    whole, file = task_of(experiment, tmp_path), tmp_path / "checkpoint.pt"
    torch.manual_seed(1)
    reference = loop(whole).run()
    torch.manual_seed(1)
    with pytest.raises(Killed):
        loop(task_of(experiment, tmp_path), checkpoint=file, on_epoch=kill).run()
    again = task_of(experiment, tmp_path)
    torch.manual_seed(99)
    resumed = loop(again, checkpoint=file).run()
    for first, second in zip(reference.history, resumed.history, strict=True):
        assert first | {"seconds": 0} == second | {"seconds": 0}
    for one, two in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["image", "audio"])
def test_a_trained_encoder_reads_changed_samples_and_learns(name, tmp_path):
    task, plain = task_of(raw({name: RAW[name]}), tmp_path), task_of(raw({}), tmp_path)
    changed, usual = heard(task)[0], heard(plain)[0]
    assert changed.values[name].is_floating_point()
    assert not usual.values[name].is_floating_point()  # its row numbers: encoded by the fusion
    encoded = task.model.fusion.trained_encoders(usual)
    assert torch.equal(changed.mask[name], encoded.mask[name])
    assert not torch.allclose(changed.values[name], encoded.values[name])
    batch = next(task.batches(torch.Generator().manual_seed(1)))
    task.step(batch, torch.Generator()).joint.backward()
    encoder = task.model.fusion.trained_encoders.encoders[name]
    assert any(p.grad is not None and p.grad.any() for p in encoder.parameters())


def test_features_that_a_trained_encoder_makes_may_be_changed_too(tmp_path):
    noisy = heard(task_of(raw({"audio": "feature_noise"}), tmp_path))[0]
    plain = task_of(raw({}), tmp_path)
    usual = plain.model.fusion.trained_encoders(heard(plain)[0])
    assert not torch.equal(noisy.values["audio"], usual.values["audio"])


def refusal(experiment, tmp_path):
    with pytest.raises(ConfigError) as refused:
        task_of(experiment, tmp_path)
    return str(refused.value)


def test_what_cannot_serve_is_refused(tmp_path):
    said = refusal(vectors(augmentation={"image": "crop_jitter"}), tmp_path)
    assert said.startswith("augmentation.image: found 'crop_jitter', which changes pictures")
    assert "trained: true" in said
    assert said.endswith("or one of: feature_mixup, feature_noise")
    said = refusal(vectors(augmentation={"text": "token_dropout"}), tmp_path)
    assert "augmentation.text: found 'token_dropout', which leaves out tokens" in said
    said = refusal(vectors(augmentation={"txt": "feature_noise"}), tmp_path)
    assert "augmentation.txt: found 'txt'" in said
    assert "did you mean 'text'" in said
    said = refusal(raw({"audio": "crop_jitter"}), tmp_path)
    assert "augmentation.audio: found 'crop_jitter', which changes pictures" in said
    said = refusal(raw({"audio": "token_dropout"}), tmp_path)  # known once the encoder is built
    assert "augmentation.audio: found 'token_dropout', which leaves out tokens" in said


def test_mistakes_name_their_key():
    with pytest.raises(ConfigError, match=r"augmentation\.text\.sigm: unknown key.*sigma"):
        vectors(augmentation={"text": {"name": "feature_noise", "sigm": 1}})
    with pytest.raises(ConfigError, match=r"augmentation\.text\.name: found 'nois'.*feature_noise"):
        vectors(augmentation={"text": "nois"})
    with pytest.raises(ConfigError, match="augmentation: found 'feature_noise', expected names"):
        vectors(augmentation="feature_noise")
    assert vectors(augmentation={"text": None}).augmentations == {}


def test_a_row_without_the_modality_needs_no_other_configuration(tmp_path):
    task = task_of(vectors(inputs={"modalities": ["text"]}), tmp_path)
    assert [*task.augment.parts] == ["text"]


@pytest.mark.parametrize("name", FUSIONS.names())
def test_every_strategy_reads_augmented_features(name):
    small = FUSIONS[name].small
    task = task_of(vectors(fusion={"name": name, **small}, recommender="content"))
    batch = next(task.batches(torch.Generator().manual_seed(1)))
    assert task.step(batch, torch.Generator()).joint.isfinite()
