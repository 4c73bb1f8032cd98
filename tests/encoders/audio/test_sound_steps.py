"""Preprocessing of sound against what is known of the sounds."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fusionlab.encoders.audio.steps import (
    AudioSteps,
    Gate,
    gate_noise,
    loudness,
    resample,
    to_loudness,
    trim_silence,
)
from tests.encoders.audio.sounds import RATE, encoded, noise, sine


def peak_hertz(wave, rate):
    return float(np.abs(np.fft.rfft(wave[0].numpy())).argmax() * rate / wave.shape[1])


def burst(silence=0.5):
    gap = np.zeros(int(silence * RATE), "f4")
    return torch.from_numpy(np.concatenate([gap, sine(), gap]))[None]


@pytest.mark.parametrize("own", [8000, 11_025, 22_050, 44_100, 44_101, 48_000, 191_999, 4001])
def test_resampling_keeps_the_frequency_and_the_length(own):
    wave = torch.from_numpy(sine(1000, 2.0, own))[None]
    found = resample(wave, own, RATE)
    usual = own not in (44_101, 191_999, 4001)
    assert abs(found.shape[1] - 2 * RATE) <= (1 if usual else 2 * RATE / 1000)
    assert peak_hertz(found, RATE) == pytest.approx(1000, abs=1)
    assert found[:, 500:-500].abs().max() == pytest.approx(0.5, abs=0.01)


def test_resampling_leaves_out_what_the_new_rate_cannot_hold():
    found = resample(torch.from_numpy(sine(7000, 1.0))[None], RATE, 8000)
    assert found[:, 100:-100].abs().max() < 0.01


def test_trimming_drops_silent_ends_only():
    quiet = 1e-3 * torch.from_numpy(noise(2.0))[None]
    found = trim_silence(burst() + quiet, RATE, 40.0)
    assert found.shape[1] == pytest.approx(RATE, abs=RATE // 50)
    pause = torch.cat([burst(), burst()], 1)
    assert trim_silence(pause, RATE, 40.0).shape[1] == pytest.approx(3 * RATE, abs=RATE // 50)
    assert torch.equal(trim_silence(pause * 0, RATE, 40.0), pause * 0)


def test_the_gate_removes_noise_and_keeps_the_tone():
    tone, hiss = burst(1.0)[0], torch.from_numpy(noise(3.0, level=0.05))

    def snr(heard):
        return float(10 * (tone.square().sum() / (heard - tone).square().sum()).log10())

    found = gate_noise((tone + hiss)[None], Gate())[0]
    assert found.shape == tone.shape
    assert snr(found) > snr(tone + hiss) + 10
    assert float(found @ tone / (tone @ tone)) == pytest.approx(1, abs=0.02)
    pause = slice(0, RATE // 2)
    assert found[pause].square().mean() < hiss[pause].square().mean() / 30


def test_the_gate_turns_down_by_its_reduction_at_most():
    hiss = torch.from_numpy(noise(1.0))[None]
    found = gate_noise(hiss, Gate(above=50, reduction=12))
    assert 20 * (found.norm() / hiss.norm()).log10() == pytest.approx(-12, abs=0.1)


@pytest.mark.parametrize("target", [-14.0, -23.0, -40.0])
@pytest.mark.parametrize("wave", [sine(), noise(2.0), np.r_[noise(2.0, level=1e-3), sine()]])
def test_loudness_meets_its_target(wave, target):
    found = to_loudness(torch.from_numpy(wave)[None], RATE, target)
    assert loudness(found, RATE) == pytest.approx(target, abs=0.5)


def test_loudness_of_the_calibration_tone():
    """BS.1770: a 997 Hz sine at full scale in one channel measures -3.01 LUFS.

    torchaudio's filters are not quite the standard's.
    """
    tone = torch.from_numpy(sine(997, 5.0, 48_000, level=1.0))[None]
    assert loudness(tone, 48_000) == pytest.approx(-3.01, abs=0.3)


def test_short_clips_and_silence_have_a_loudness_too():
    short = torch.from_numpy(sine(997, 0.1))[None]
    assert loudness(short, RATE) == pytest.approx(-0.69 + 10 * np.log10(0.125), abs=0.1)
    assert loudness(to_loudness(short, RATE, -23.0), RATE) == pytest.approx(-23, abs=0.01)
    for samples in (1, RATE):
        assert torch.equal(
            to_loudness(torch.zeros(1, samples), RATE, -23.0), torch.zeros(1, samples)
        )


def test_every_step_can_be_seen():
    steps = AudioSteps(trim=40, denoise=Gate(), loudness=-23)
    seen = steps.trace(torch.cat([burst(), burst()]), RATE, 8000)
    assert list(seen) == ["read", "mono", "resample", "trim", "denoise", "loudness"]
    assert [len(wave) for wave in seen.values()] == [2, 1, 1, 1, 1, 1]
    plain = AudioSteps().trace(burst(), RATE, RATE)
    assert list(plain) == ["read", "mono", "resample"]
    assert torch.equal(plain["resample"], burst())


def test_mono_is_the_mean_or_the_first_channel():
    both = torch.cat([burst(), -burst()])
    assert not AudioSteps().trace(both, RATE, RATE)["mono"].any()
    assert torch.equal(AudioSteps(mono="first").trace(both, RATE, RATE)["mono"], burst())


def test_a_file_goes_through_all_steps():
    found = AudioSteps(seconds=1.5, trim=40, loudness=-23)(encoded(burst()[0].numpy()), 8000)
    assert found.ndim == 1
    assert len(found) == pytest.approx(8000, abs=200)
    assert loudness(found[None], 8000) == pytest.approx(-23, abs=0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([8000, 16_000, 44_101]), st.booleans())
def test_no_length_is_too_short(samples, rate, silent):
    wave = torch.from_numpy(noise(samples / rate + 1, rate)[:samples])[None] * (not silent)
    steps = AudioSteps(seconds=0.1, trim=20, denoise=Gate(), loudness=-23)
    found = steps(encoded(wave[0].numpy(), rate), RATE)
    assert 1 <= len(found) <= steps.samples(RATE)
    assert found.isfinite().all()


def test_settings_are_frozen_checked_and_picklable():
    steps = AudioSteps(trim=40, denoise=Gate(above=3))
    assert pickle.loads(pickle.dumps(steps)) == steps
    assert repr(steps) == "AudioSteps(trim=40.0, denoise=Gate(above=3.0))"
    for wrong in ({"trim": -1}, {"loudness": 3}, {"seconds": 0}, {"pitch": 2}):
        with pytest.raises(ValidationError):
            AudioSteps(**wrong)
    with pytest.raises(ValidationError):
        steps.trim = 3
