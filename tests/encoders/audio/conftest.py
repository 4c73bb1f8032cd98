import pytest

from tests.encoders.audio.sounds import chirp, encoded, noise, sine


@pytest.fixture(scope="session")
def clips():
    """Clips of different lengths, the last shorter than a frame, as files in memory."""
    waves = [chirp(0.7), sine(seconds=0.31), noise(0.05), sine(880, 1.13), noise(0.0005)]
    return [encoded(wave) for wave in waves]
