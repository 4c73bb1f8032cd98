"""Pictures, sounds and files of weights: content, or the reason why not."""

import io
from contextlib import suppress

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from torch import nn

from fusionlab.encoders.audio.reading import read_audio
from fusionlab.encoders.contract import BadMedia
from fusionlab.encoders.image.reading import read_image
from fusionlab.encoders.weights import load_weights
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOW, struck
from tests.fuzzing.ground import bounded, ground, refusing_cleanly

__all__ = ["bounded", "ground"]

DRAW = np.random.default_rng(0)


def picture(kind):
    buffer = io.BytesIO()
    Image.fromarray(DRAW.integers(0, 255, (16, 12, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def sound(kind):
    buffer = io.BytesIO()
    soundfile.write(buffer, DRAW.uniform(-0.5, 0.5, 4000), 8000, format=kind)
    return buffer.getvalue()


def saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


PICTURES = [picture(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")]
SOUNDS = [sound(kind) for kind in ("WAV", "FLAC", "OGG", "MP3")]
STATE = nn.Linear(3, 2).state_dict()
WEIGHTS = {".pt": saved(STATE), ".safetensors": save(STATE)}


@pytest.mark.usefixtures("bounded")
@inputs("pictures")
@given(st.sampled_from(PICTURES), st.lists(BLOW, max_size=3))
def test_a_picture_is_read_or_its_fault_told(content, blows):
    with suppress(BadMedia):
        assert min(read_image(struck(content, blows)).size) > 0


@pytest.mark.usefixtures("bounded")
@inputs("sounds")
@given(st.sampled_from(SOUNDS), st.lists(BLOW, max_size=3))
def test_a_sound_is_read_or_its_fault_told(content, blows):
    with suppress(BadMedia):
        wave, _ = read_audio(struck(content, blows), 10.0)
        assert torch.isfinite(wave).all()


@pytest.mark.usefixtures("bounded")
def test_a_file_of_weights_is_read_or_refused(ground):
    @inputs("weights")
    @given(st.sampled_from(sorted(WEIGHTS)), st.lists(BLOW, max_size=3))
    def read(ending, blows):
        ground.lay({f"weights{ending}": struck(WEIGHTS[ending], blows)})
        with refusing_cleanly():
            load_weights(nn.Linear(3, 2), str(ground.root / f"weights{ending}"))
        ground.check_untouched()

    read()
