"""Encoders of timm and torchvision on small random models."""

import copy
import pickle

import pytest
import timm
import torch
from image_networks import (
    ALL,
    IMAGES,
    MOBILE,
    RESNET,
    RESNET18,
    SWIN,
    VIT,
    batch_of,
    built,
    features,
    named,
)
from pictures import encoded

from fusionlab.errors import FusionlabError


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
