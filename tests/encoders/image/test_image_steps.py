"""The steps: each against the known picture, all together against torchvision's and timm's."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, noise, pixels
from PIL import Image
from pydantic import ValidationError
from torchvision import transforms

from fusionlab.encoders.image.steps import ImageSteps, ModelSteps
from fusionlab.errors import FusionlabError

MODEL = ModelSteps(32, "shorter", 40, "bicubic", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
UPRIGHT = noise(30, 20)
# what a camera held otherwise saved: for each orientation, rows and columns of the upright picture
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


def prepared(image, **options):
    return ImageSteps(**options).completed(MODEL).stages(encoded(image))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("turned", [True, False])
def test_exif_orientation(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(UPRIGHT))))
    stages = ImageSteps(exif=turned).completed(MODEL).stages(encoded(stored, exif=exif))
    wanted = UPRIGHT if turned else stored
    np.testing.assert_array_equal(pixels(stages["exif"]), pixels(wanted))


def test_steps_are_named_in_order():
    assert list(prepared(UPRIGHT)) == ["read", "exif", "alpha", "color", "resize", "tensor"]


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 30)])
def test_alpha_is_composited(background):
    image = Image.new("RGBA", (3, 1))
    image.putdata([(100, 150, 200, 255), (100, 150, 200, 0), (100, 150, 200, 51)])
    found = pixels(prepared(image, background=background)["alpha"])[0]
    front, back = np.array([100, 150, 200]), np.array(background)
    np.testing.assert_array_equal(found[0], front)
    np.testing.assert_array_equal(found[1], back)
    np.testing.assert_allclose(found[2], 0.2 * front + 0.8 * back, atol=1)


def test_greyscale_is_one_channel_of_luma():
    stages = prepared(UPRIGHT, color="grey")
    luma = pixels(UPRIGHT) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(pixels(stages["color"]), luma, atol=1)
    assert stages["tensor"].shape == (1, 32, 32)


def test_grey_file_for_a_model_of_colors():
    found = prepared(noise(channels=1))["tensor"]
    assert found.shape == (3, 32, 32)
    assert (found == found[:1]).all()


def test_tensor_holds_the_bytes_of_the_resized_image():
    stages = prepared(UPRIGHT)
    assert stages["tensor"].dtype == torch.uint8
    assert stages["tensor"].is_contiguous()
    np.testing.assert_array_equal(
        stages["tensor"].permute(1, 2, 0).numpy(), np.asarray(stages["resize"])
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (64, 64), (200, 101), (57, 333), (40, 41)])
def test_resize_and_crop_are_torchvisions(interpolation, shape):
    image = noise(*shape)
    mode = transforms.InterpolationMode(interpolation)
    theirs = transforms.Compose([transforms.Resize(40, mode), transforms.CenterCrop(32)])(image)
    ours = prepared(image, interpolation=interpolation)["resize"]
    assert np.abs(pixels(ours) - pixels(theirs)).max() <= 1
    assert (pixels(ours) == pixels(theirs)).mean() > 0.95


def test_exact_is_a_plain_resize_and_may_be_cropped():
    whole = prepared(UPRIGHT, resize="exact", crop_from=32)["resize"]
    plain = UPRIGHT.resize((32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pixels(whole), pixels(plain))
    cropped = pixels(prepared(UPRIGHT, resize="exact", crop_from=40)["resize"])
    bigger = UPRIGHT.resize((40, 40), Image.Resampling.BICUBIC)
    assert np.abs(cropped - pixels(bigger)[4:36, 4:36]).max() <= 1


def test_nothing_is_cropped_but_what_sticks_out():
    found = prepared(noise(64, 32), crop_from=32)["resize"]
    np.testing.assert_array_equal(pixels(found), pixels(noise(64, 32))[:, 16:48])


def test_what_is_not_given_is_the_models():
    own = ImageSteps().completed(MODEL)
    assert (own.size, own.crop_from, own.resize) == (32, 40, "shorter")
    assert (own.interpolation, own.mean, own.std) == ("bicubic", MODEL.mean, MODEL.std)
    scaled = ImageSteps(size=64).completed(MODEL)
    assert (scaled.size, scaled.crop_from) == (64, 80)


@pytest.mark.parametrize(
    "options",
    [
        {"std": (0.1, 0, 0.1)},
        {"size": 0},
        {"background": (0, 0, 256)},
        {"interpolation": "cubic"},
        {"max_pixels": 10**9},
        {"colour": "grey"},
    ],
)
def test_wrong_settings_are_refused(options):
    with pytest.raises(ValidationError):
        ImageSteps(**options)


def test_crop_from_below_size_is_refused():
    with pytest.raises(
        FusionlabError, match=r"steps\.crop_from: found 16, expected at least steps\.size, 32"
    ):
        ImageSteps(crop_from=16).completed(MODEL)


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        ImageSteps().color = "grey"


def test_preparation_survives_pickling():
    prepare = ImageSteps(color="grey").completed(MODEL)
    again = pickle.loads(pickle.dumps(prepare))
    assert len(pickle.dumps(prepare)) < 2000
    assert torch.equal(again(encoded(UPRIGHT))["image"], prepare(encoded(UPRIGHT))["image"])


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.integers(1, 64),
    resize=st.sampled_from(["shorter", "exact"]),
    interpolation=st.sampled_from(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]),
)
def test_any_size_comes_out_square(width, height, size, resize, interpolation):
    image = Image.new("RGB", (width, height), (10, 20, 30))
    found = prepared(image, size=size, resize=resize, interpolation=interpolation)["tensor"]
    assert found.shape == (3, size, size)
    assert (found == torch.tensor([10, 20, 30])[:, None, None]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (1000, 1), (1, 65_535), (65_535, 2)])
@pytest.mark.parametrize("resize", ["shorter", "exact"])
def test_extreme_proportions(shape, resize):
    found = prepared(Image.new("L", shape, 77), resize=resize, size=224)["tensor"]
    assert found.shape == (3, 224, 224)
    assert (found == 77).all()
