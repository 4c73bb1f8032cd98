"""The pixel baseline against its formula."""

import numpy as np
import pytest
import torch
from pictures import encoded, noise, pixels

from fusionlab.encoders.contract import ENCODERS
from fusionlab.errors import FusionlabError


def built(**options):
    return ENCODERS.parse({"name": "pixels", **options}).build()


def features(encoder, *images):
    return encoder(encoder.collate([encoder.prepare(encoded(image)) for image in images]))


@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_vector_is_the_image_row_by_row(color):
    image = noise(8, 8, 3 if color == "rgb" else 1)
    encoder = built(side=8, steps={"color": color})
    values, mask = features(encoder, image)
    np.testing.assert_allclose(values[0, 0], pixels(image).flatten() / 255, atol=1e-6)
    assert values.shape == (1, encoder.spec.tokens, encoder.spec.dim)
    assert mask.all()


def test_tokens_are_patches_row_by_row():
    image = noise(12, 12)
    encoder = built(side=12, patch=4)
    values, mask = features(encoder, image)
    assert (encoder.spec.tokens, encoder.spec.dim) == (9, 48)
    assert mask.shape == (1, 9)
    for token in range(9):
        row, column = divmod(token, 3)
        patch = pixels(image)[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        np.testing.assert_allclose(values[0, token], patch.flatten() / 255, atol=1e-6)


def test_the_whole_image_is_seen_whatever_its_proportions():
    image = noise(60, 20)
    stages = built(side=10).stages(encoded(image))
    np.testing.assert_array_equal(pixels(stages["resize"]), pixels(image.resize((10, 10), 2)))


def test_normalise_is_the_last_stage():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    stages = built(side=8, steps={"mean": mean, "std": std}).stages(encoded(noise(8, 8)))
    wanted = (stages["tensor"] / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    assert list(stages)[-1] == "normalise"
    torch.testing.assert_close(stages["normalise"], wanted, atol=1e-6, rtol=1e-5)


def test_wrong_options_are_refused():
    with pytest.raises(FusionlabError, match="patch: found 5, expected a divisor of side, 16"):
        built(patch=5)
    with pytest.raises(FusionlabError, match=r"steps\.size: found 9, expected side, 8"):
        built(side=8, steps={"size": 9})
    with pytest.raises(FusionlabError, match=r"steps.colr: unknown key.*did you mean 'color'"):
        built(steps={"colr": "grey"})
