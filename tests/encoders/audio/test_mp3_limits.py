"""What is heard of an mp3, with and without the header that says how long it is."""

import io

import numpy as np
import pytest
import soundfile

from fusionlab.encoders.audio.reading import MP3_SLACK, read_audio
from fusionlab.encoders.contract import BadMedia, Fault
from tests.encoders.audio.sounds import RATE, noise

SECONDS = 5
LOUD, SILENT = noise(SECONDS, level=0.3), np.zeros(SECONDS * RATE, "f4")


def mp3(wave, mode):
    file = io.BytesIO()
    soundfile.write(
        file,
        wave,
        RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode=mode,
        compression_level=0.5,
    )
    return file.getvalue()


def without_header(content):
    """From the second frame on: the first holds no sound but a Xing or Info header."""
    second = content.find(content[:2], 4)
    assert {b"Xing", b"Info"} & {content[:second][k : k + 4] for k in range(second)}
    return content[second:]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_with_its_header_a_clip_has_its_length(mode):
    wave, rate = read_audio(mp3(LOUD, mode), 60)
    assert (rate, wave.shape) == (RATE, (1, len(LOUD)))


def test_a_constant_bit_rate_needs_no_header():
    wave, _ = read_audio(without_header(mp3(LOUD, "CONSTANT")), 60)
    assert 0 <= wave.shape[1] - len(LOUD) <= MP3_SLACK, "the encoder's padding is heard too"


def test_of_a_variable_bit_rate_without_header_the_end_may_not_be_heard():
    wave, _ = read_audio(without_header(mp3(np.concatenate([LOUD, SILENT]), "VARIABLE")), 60)
    assert wave.shape[1] < 0.5 * 2 * len(LOUD)
    assert wave[0, RATE // 2 :].square().mean().sqrt() == pytest.approx(0.3, rel=0.1)


def test_or_it_is_refused_as_truncated():
    with pytest.raises(BadMedia, match="truncated") as bad:
        read_audio(without_header(mp3(np.concatenate([SILENT, LOUD]), "VARIABLE")), 60)
    assert bad.value.fault is Fault.CORRUPT
