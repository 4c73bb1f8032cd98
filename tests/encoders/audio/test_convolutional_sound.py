"""The convolutional encoder: its spectrogram by hand, its network against the package's own."""

import importlib.util
import pickle

import numpy as np
import pytest
import torch

from fusionlab.encoders.audio.convolutional import log_mel, windows
from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.sources import locate
from fusionlab.errors import FusionlabError
from tests.encoders.audio.sounds import chirp, encoded, noise, sine

PACKAGE = "package:aisfx"
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("aisfx") is None, reason="pip install --no-deps aisfx==0.1.2"
)
RATE = 44_100
WAVES = [chirp(0.4, RATE), noise(2.5, RATE), sine(880, 4.0, RATE), sine(200, 7.1, RATE)]
WAVES[3][: 2 * RATE] = noise(2, RATE)
WINDOWS = [1, 1, 2, 5]


def new(**options):
    return ENCODERS.parse({"name": "audio_cnn", **options}).build().eval()


def batch_of(encoder, waves=WAVES):
    return encoder.collate([encoder.prepare(encoded(wave, RATE)) for wave in waves])


def log_mel_by_hand(wave):
    """HTK's mel scale, triangles in mel whose weights sum to one, in NumPy."""
    wave = np.pad(np.asarray(wave, "f8"), 1024)
    n = np.arange(2048)
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * n / 2047)
    starts = range(0, len(wave) - 2047, 1024)
    power = np.abs(np.fft.rfft([wave[s : s + 2048] * shape for s in starts])) ** 2
    mel = 2595 * np.log10(1 + np.arange(1025) * 44_100 / 2048 / 700)
    edges = np.linspace(0, 2595 * np.log10(1 + 22_050 / 700), 98)
    rising = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.log10(1e4 * power @ (triangles / triangles.sum(0)) + 1) / 9.457798957824707


@pytest.mark.parametrize("wave", WAVES)
def test_the_spectrogram_is_that_of_the_formula(wave):
    found = log_mel(torch.from_numpy(wave)).numpy()
    np.testing.assert_allclose(found, log_mel_by_hand(wave), atol=2e-5)


def test_silence_is_zero_so_padding_is_silence():
    assert torch.equal(log_mel(torch.zeros(5000)), torch.zeros(5, 96))


@pytest.mark.parametrize(
    ("frames", "count"), [(1, 1), (99, 1), (149, 1), (150, 2), (199, 2), (200, 3)]
)
def test_windows_overlap_by_half_and_are_full(frames, count):
    numbers = torch.arange(1.0, frames + 1)[:, None]
    found = windows(numbers)
    assert found.shape == (count, 100, 1)
    for k, window in enumerate(found):
        wanted = torch.arange(1.0 + 50 * k, 101 + 50 * k)
        assert torch.equal(window[:, 0], torch.where(wanted <= frames, wanted, 0))


@torch.no_grad()
def test_tokens_are_windows_and_pooled_is_their_mean():
    tokens, mask = (encoder := new(width=4, pool="tokens"))(batch_of(encoder))
    assert mask.sum(1).tolist() == WINDOWS
    pooled, on = (other := new(width=4))(batch_of(other))
    assert pooled.shape == (4, 1, 32)
    assert on.all()
    for row, count in enumerate(WINDOWS):
        torch.testing.assert_close(pooled[row, 0], tokens[row, :count].mean(0))
    longest = new(width=4, pool="tokens", steps={"seconds": 7.1})
    assert longest.spec.tokens == max(WINDOWS)


@torch.no_grad()
def test_neighbours_and_padding_change_nothing():
    encoder = new(width=4)
    batch = batch_of(encoder)
    values, _ = encoder(batch)
    for row, count in enumerate(WINDOWS):
        batch["windows"][row, count:] = torch.nan
    assert torch.equal(encoder(batch)[0], values)


def test_seed_decides_about_random_weights_and_the_callers_is_left_alone():
    state = torch.get_rng_state()
    one, same, other = (new(width=2, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    name = "network.0.conv1.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


@needs_package
@torch.no_grad()
def test_vectors_are_those_of_the_package():
    from aisfx.models.cnn2d import EmbeddingNet

    state, _ = _checkpoint()
    theirs = EmbeddingNet("max", 3, 1, 64).eval()
    prefix = "embedding_net."
    theirs.load_state_dict(
        {k.removeprefix(prefix): x for k, x in state.items() if k.startswith(prefix)}
    )
    encoder = new(weights=PACKAGE, pool="tokens")
    batch = batch_of(encoder)
    values, mask = encoder(batch)
    assert values.shape == (4, 5, 512)
    torch.testing.assert_close(values[mask], theirs(batch["windows"][mask]), atol=1e-5, rtol=1e-5)


def _checkpoint():
    numbers = [(np._core.multiarray.scalar, "numpy.core.multiarray.scalar"), np.dtype]
    with torch.serialization.safe_globals([*numbers, type(np.dtype("i8"))]):
        return torch.load(locate(PACKAGE) / "checkpoint.pth", weights_only=True)


@needs_package
@torch.no_grad()
def test_pretrained_vectors_tell_kinds_of_sound_apart():
    encoder = new(weights=PACKAGE)
    waves = [noise(2.5, RATE, seed=seed) for seed in (1, 2)]
    waves += [sine(hertz, 2.5, RATE) for hertz in (440, 470)]
    x = torch.nn.functional.normalize(encoder(batch_of(encoder, waves))[0][:, 0], dim=1)
    alike = x @ x.T
    assert min(alike[0, 1], alike[2, 3]) > alike[:2, 2:].max() + 0.1


def test_weights_of_a_folder_and_files_that_are_none(tmp_path):
    saved = new(width=2, seed=7)
    torch.save(saved.network.state_dict(), tmp_path / "weights.pt")
    found = new(width=2, weights=str(tmp_path))
    for name, value in saved.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)
    with pytest.raises(FusionlabError, match="weights"):
        new(width=3, weights=str(tmp_path))
    (tmp_path / "weights.pt").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(FusionlabError, match="weights"):
        new(width=2, weights=str(tmp_path))


def test_batch_norm_learns_and_every_parameter_has_a_gradient():
    encoder = new(width=2).train()
    encoder(batch_of(encoder))[0].square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())
