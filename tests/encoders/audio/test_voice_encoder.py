"""The pretrained LSTM against the package's own arithmetic, done again without this library."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from fusionlab.encoders.audio.voice import window_starts
from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.sources import locate
from fusionlab.errors import FusionlabError
from tests.encoders.audio.sounds import RATE, chirp, encoded, noise, sine

try:
    WEIGHTS = Path(locate("package:Resemblyzer")) / "pretrained.pt"
except FusionlabError:
    WEIGHTS = None
needs_weights = pytest.mark.skipif(
    WEIGHTS is None, reason="pip install --no-deps Resemblyzer==0.1.4"
)
WAVES = [chirp(0.4), chirp(2.0), noise(3.1), sine(200, 5.0)]


def mel_by_hand(wave):
    """Slaney's mel energies, 40 bands of equal area, in NumPy."""
    wave = np.pad(np.asarray(wave, "f8"), 200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = [wave[s : s + 400] * window for s in range(0, len(wave) - 399, 160)]
    power = np.abs(np.fft.rfft(frames)) ** 2
    mels = np.linspace(0, 15 + np.log(8) / (np.log(6.4) / 27), 42)
    linear, above = mels * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mels - 15))
    edges = np.where(mels < 15, linear, above)
    bins = np.arange(201)[:, None] * RATE / 400
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return power @ (triangles * 2 / (edges[2:] - edges[:-2]))


def embed_by_hand(wave, state):
    """One window after another through a plain LSTM; means of unit vectors."""
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    for part, prefix in ((lstm, "lstm."), (linear, "linear.")):
        own = {k.removeprefix(prefix): x for k, x in state.items() if k.startswith(prefix)}
        part.load_state_dict(own)
    frames = int(np.ceil((len(wave) + 1) / 160))
    starts = list(range(0, max(1, frames - 160 + 77 + 1), 77))
    if len(starts) > 1 and (len(wave) - starts[-1] * 160) / (160 * 160) < 0.75:
        starts.pop()
    mel = mel_by_hand(np.pad(wave, (0, max(0, (starts[-1] + 160) * 160 - len(wave)))))
    found = []
    for start in starts:
        window = torch.from_numpy(mel[start : start + 160]).float()
        vector = linear(lstm(window[:, None])[1][0][-1, 0]).relu()
        found.append(vector / vector.norm())
    mean = torch.stack(found).mean(0)
    return mean / mean.norm()


@pytest.fixture(scope="module")
def encoder():
    steps = {"trim": None, "loudness": None}
    return ENCODERS.parse({"name": "audio_voice", "steps": steps}).build().eval()


@needs_weights
@torch.no_grad()
def test_vectors_are_those_of_a_plain_lstm(encoder):
    state = torch.load(WEIGHTS, map_location="cpu", weights_only=True)["model_state"]
    samples = [encoder.prepare(encoded(wave)) for wave in WAVES]
    assert [encoder.size(sample) for sample in samples] == [1, 2, 3, 5]
    values, mask = encoder(encoder.collate(samples))
    assert values.shape == (4, 1, 256)
    assert mask.all()
    for wave, value in zip(WAVES, values, strict=True):
        assert value[0].allclose(embed_by_hand(wave, state), atol=1e-4)


@needs_weights
@torch.no_grad()
def test_neighbours_and_padding_change_nothing(encoder):
    samples = [encoder.prepare(encoded(wave)) for wave in WAVES]
    batch = encoder.collate(samples)
    values, _ = encoder(batch)
    for sample, row in zip(samples, batch["windows"], strict=True):
        row[len(sample["windows"]) :] = torch.nan
    assert torch.equal(encoder(batch)[0], values)
    for sample, value in zip(samples, values, strict=True):
        assert encoder(encoder.collate([sample]))[0][0].allclose(value, atol=1e-6)


@needs_weights
def test_it_can_be_trained_on_and_prepare_holds_no_model(encoder):
    batch = encoder.collate([encoder.prepare(encoded(wave)) for wave in WAVES[:2]])
    encoder(batch)[0][:, 0, :5].sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert len(pickle.dumps(encoder.prepare)) < 2000


@needs_weights
def test_by_default_it_hears_all_clips_equally_loud():
    encoder = ENCODERS.parse({"name": "audio_voice", "steps": {"seconds": 5}}).build()
    assert (encoder.prepare.steps.trim, encoder.prepare.steps.loudness) == (40, -30)
    quiet, loud = (encoder.prepare(encoded(chirp() * gain)) for gain in (0.01, 1))
    assert quiet["windows"].allclose(loud["windows"], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 159, 160, 25_599, 25_600, 30_000, 40_000, 480_000])
def test_windows_cover_the_clip(samples):
    starts = window_starts(samples)
    assert starts[0] == 0
    assert set(np.diff(starts)) <= {77}
    assert samples - (starts[-1] + 160) * 160 < 77 * 160


@pytest.mark.parametrize("content", [b"", b"no checkpoint", {"other": 1}, {"model_state": {}}])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(FusionlabError, match="no checkpoint"):
        ENCODERS.parse({"name": "audio_voice", "weights": str(path)}).build()
    with pytest.raises(FusionlabError, match="expected one file"):
        ENCODERS.parse({"name": "audio_voice", "weights": str(tmp_path / "none.pt")}).build()
