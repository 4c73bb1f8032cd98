"""Log-mel frames and cepstra against second computations."""

import pickle

import numpy as np
import pytest
import torch
from scipy.fft import dct

from fusionlab.encoders.audio import pooling
from fusionlab.encoders.audio.mel import Mel, cepstrum, deltas, mel_frames
from fusionlab.encoders.audio.steps import AudioSteps
from fusionlab.encoders.contract import ENCODERS
from fusionlab.errors import ConfigError
from tests.encoders.audio.sounds import RATE, chirp, encoded, noise, sine


def mel_by_hand(wave, rate, n_mels, n_fft, hop, fmin, fmax):
    """Framing, window, Fourier transform and HTK triangles, in NumPy."""
    wave = np.pad(np.asarray(wave, "f8"), n_fft // 2)
    starts = range(0, len(wave) - n_fft + 1, hop)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    power = np.abs(np.fft.rfft([wave[s : s + n_fft] * window for s in starts])) ** 2
    low, high = (2595 * np.log10(1 + f / 700) for f in (fmin, fmax))
    edges = 700 * (10 ** (np.linspace(low, high, n_mels + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return power @ np.maximum(0, np.minimum(rising, falling))


@pytest.mark.parametrize("wave", [chirp(0.3), noise(0.2), noise(0.2)[:100], noise(1.0)[:1]])
def test_log_mel_by_hand(wave):
    mel = Mel(n_mels=32, n_fft=400, hop=160, fmin=50, fmax=7000, floor=1e-4)
    expected = np.log(np.maximum(mel_by_hand(wave, RATE, 32, 400, 160, 50, 7000), mel.floor))
    found = mel_frames(torch.from_numpy(wave), RATE, mel)
    assert found.shape == (mel.frames(len(wave)), 32)
    assert np.abs(found.numpy() - expected).max() < 5e-3
    energy = mel_frames(torch.from_numpy(wave), RATE, mel.model_copy(update={"log": False}))
    assert energy.clamp_min(1e-4).log().allclose(torch.from_numpy(expected).float(), atol=5e-3)


def test_standardised_bands():
    found = mel_frames(torch.from_numpy(noise()), RATE, Mel(standardise=True))
    assert found.mean(0).abs().max() < 1e-4
    assert (found.std(0, correction=0) - 1).abs().max() < 1e-3
    assert not mel_frames(torch.zeros(1000), RATE, Mel(standardise=True)).any()


def test_cepstra_are_scipys():
    frames = mel_frames(torch.from_numpy(chirp()), RATE, Mel())
    expected = dct(frames.double().numpy(), type=2, norm="ortho", axis=1)[:, :20]
    assert np.abs(cepstrum(frames, 20).numpy() - expected).max() < 1e-3


def test_deltas_are_slopes():
    ramp = torch.arange(20.0)[:, None] * torch.tensor([1.0, -2.0])
    assert deltas(ramp)[2:-2].allclose(torch.tensor([1.0, -2.0]).expand(16, 2))


def encode(clips, **options):
    encoder = ENCODERS.parse({"name": "audio_mfcc", **options}).build()
    samples = [encoder.prepare(clip) for clip in clips]
    return encoder, samples, *encoder(encoder.collate(samples))


def test_pooled_cepstra_are_mean_and_deviation(clips):
    _, samples, values, mask = encode(clips, deltas=True)
    assert values.shape == (len(clips), 1, 80)
    assert mask.all()
    for sample, value in zip(samples, values, strict=True):
        frames = sample["frames"].double()
        assert sample["frames"].shape[1] == 40
        assert value[0, :40].double().allclose(frames.mean(0), atol=1e-4)
        assert value[0, 40:].double().allclose(frames.std(0, correction=0), atol=1e-4)


def test_tokens_of_cepstra_are_means_of_frames(clips):
    encoder, samples, values, mask = encode(
        clips, pool="tokens", stride=10, steps={"seconds": 1}, coefficients=13
    )
    assert encoder.spec.tokens == 11  # 101 frames
    assert values.shape == (len(clips), 11, 13)
    for sample, value, on in zip(samples, values, mask, strict=True):
        chunks = sample["frames"].split(10)
        assert on.tolist() == [True] * len(chunks) + [False] * (11 - len(chunks))
        assert value[on].allclose(torch.stack([chunk.mean(0) for chunk in chunks]), atol=1e-4)


def test_neighbours_change_nothing(clips):
    encoder, samples, values, _ = encode(clips)
    for sample, value in zip(samples, values, strict=True):
        assert encoder(encoder.collate([sample]))[0][0].allclose(value, atol=1e-4)


def test_what_is_sent_to_workers_is_small_and_comes_back(clips):
    encoder = ENCODERS.parse("audio_mfcc").build()
    again = pickle.loads(pickle.dumps(encoder.prepare))
    assert torch.equal(again(clips[0])["frames"], encoder.prepare(clips[0])["frames"])
    assert encoder.size(encoder.prepare(clips[0])) == 71
    assert len(pickle.dumps(encoder.prepare)) < 2000


def test_too_many_coefficients_are_refused():
    with pytest.raises(ConfigError, match="coefficients: found 65"):
        ENCODERS.parse({"name": "audio_mfcc", "coefficients": 65}).build()


def test_wrong_nested_options_name_their_path():
    with pytest.raises(ConfigError, match=r"steps\.trimm: unknown key.*did you mean 'trim'"):
        ENCODERS.parse({"name": "audio_mfcc", "steps": {"trimm": 3}})
    part = ENCODERS.parse({"name": "audio_mfcc", "steps": {"trim": 30}, "mel": {"n_mels": 40}})
    assert part.build().prepare.frames.steps == AudioSteps(trim=30)
    assert ENCODERS.parse(part.model_dump(mode="json")) == part


def test_the_same_sound_at_another_rate_is_alike():
    low, high = (encoded(sine(700, 1.0, rate), rate) for rate in (16_000, 44_100))
    _, _, values, _ = encode([low, high], mel={"fmax": 4000})
    assert (values[0] - values[1]).norm() < 0.05 * values[0].norm()


def test_means_read_nothing_behind_the_mask():
    frames = torch.randn(2, 7, 3)
    mask = pooling.on(torch.tensor([7, 3]), 7)
    broken = torch.where(mask[..., None], frames, torch.nan)
    assert torch.equal(pooling.mean(broken, mask), pooling.mean(frames, mask))
    means, on = pooling.tokens(broken, mask, 2)
    assert on.tolist() == [[True] * 4, [True, True, False, False]]
    assert torch.equal(means[1, 1], frames[1, 2])
    assert means.isfinite().all()
