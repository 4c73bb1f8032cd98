"""Every way a sound file can be bad has its fault, and good ones are read as they are."""

import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.encoders.audio.reading import read_audio
from fusionlab.encoders.contract import BadMedia, Fault
from tests.encoders.audio.sounds import RATE, chirp, encoded, noise, sine, wav_header

GOOD = [
    ("WAV", "PCM_16", 1e-4),
    ("WAV", "PCM_U8", 1e-2),
    ("WAV", "FLOAT", 0),
    ("WAVEX", "PCM_24", 1e-6),
    ("FLAC", "PCM_16", 1e-4),
    ("OGG", "VORBIS", 0.15),
    ("OGG", "OPUS", 0.15),
    ("MP3", "MPEG_LAYER_III", 0.15),
]


def garbled(content, start=0.4):
    """The same file with a stretch in the middle overwritten."""
    found, at = bytearray(content), int(len(content) * start)
    found[at : at + len(found) // 4] = np.random.default_rng(0).bytes(len(found) // 4)
    return bytes(found)


def streamed_flac(frames):
    """A flac file whose header says another number of frames (0: unknown)."""
    found = bytearray(encoded(chirp(2.0), kind="FLAC", subtype="PCM_16"))
    found[21] = found[21] & 0xF0 | frames >> 32
    found[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(found)


def with_sample(value):
    wave = sine()
    wave[100] = value
    return encoded(wave)


WAV = encoded(chirp(), subtype="PCM_16")
FLAC, OGG, OPUS, MP3 = (
    encoded(chirp(3.0) + noise(3.0, level=0.01), kind=kind, subtype=subtype)
    for kind, subtype in (
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    )
)
BAD = {
    "empty": b"",
    "one byte": b"R",
    "zeros": bytes(5000),
    "text": b"These are the words of a review. " * 50,
    "utf-16 text, which begins like an mp3": ("A review. " * 200).encode("utf-16"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "random bytes after an mp3's first": b"\xff\xfb\x90\x00" + os.urandom(3000),
    "an ID3 tag and nothing": b"ID3\x03\x00\x00\x00\x00\x00\x10" + bytes(600),
    "a kind that is not read": encoded(sine(), kind="AIFF", subtype="PCM_16"),
    "wav: header only": WAV[:30],
    "wav: no samples": wav_header(0),
    "wav: cut": WAV[: len(WAV) // 2],
    "wav: last byte cut": WAV[:-1],
    "wav: promises 4 GB": wav_header(0xFFFFFF00) + bytes(1000),
    "wav: 0 Hz": wav_header(1000, rate=0) + bytes(1000),
    "wav: 1 Hz": wav_header(1000, rate=1) + bytes(1000),
    "wav: 2 GHz": wav_header(1000, rate=2_000_000_000) + bytes(1000),
    "wav: 500 channels": wav_header(100_000, channels=500) + bytes(100_000),
    "wav: no channel": wav_header(1000, channels=0) + bytes(1000),
    "wav: unknown coding": wav_header(1000, tag=0x7777) + bytes(1000),
    "wav: NaN": with_sample(np.nan),
    "wav: infinite": with_sample(-np.inf),
    "wav: absurdly loud": with_sample(1e30),
    "flac: cut": FLAC[: len(FLAC) // 2],
    "flac: garbled": garbled(FLAC),
    "flac: promises 49 days": streamed_flac((1 << 36) - 1),
    "flac: cut, of unknown length": streamed_flac(0)[:9000],
    "ogg: cut": OGG[: len(OGG) // 2],
    "ogg: last byte cut": OGG[:-1],
    "ogg: garbled": garbled(OGG),
    "opus: cut": OPUS[: len(OPUS) // 2],
    "mp3: cut": MP3[: len(MP3) // 2],
    "mp3: garbled": garbled(MP3),
}


def fault(raw, max_seconds=1e9, longer="cut"):
    with pytest.raises(BadMedia) as caught:
        read_audio(raw, max_seconds, longer)
    return caught.value


@pytest.mark.parametrize(("kind", "subtype", "within"), GOOD)
def test_good_files_are_read_as_they_are(kind, subtype, within):
    wave = sine(seconds=1.5) * np.hanning(int(1.5 * RATE)).astype("f4")
    found, rate = read_audio(encoded(wave, kind=kind, subtype=subtype), 30)
    assert (rate, found.shape, found.dtype) == (RATE, (1, len(wave)), torch.float32)
    assert np.abs(found[0].numpy() - wave).max() <= within


@pytest.mark.parametrize("name", BAD)
def test_bad_files_have_their_fault(name, tmp_path):
    found = fault(BAD[name])
    assert found.fault is Fault.CORRUPT
    assert found.why
    (tmp_path / "bad.wav").write_bytes(BAD[name])
    assert fault(tmp_path / "bad.wav").why == found.why


def test_files_that_cannot_be_opened_are_missing(tmp_path):
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "gone.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("none.wav", "dangling.wav", "pipe.wav", ".", "a\0b.wav", "x" * 300):
        assert fault(tmp_path / name).fault is Fault.MISSING


def test_a_text_is_no_sound():
    assert fault("a review").fault is Fault.CORRUPT


def test_faults_survive_pickling():
    again = pickle.loads(pickle.dumps(fault(b"")))
    assert (again.fault, again.why) == (Fault.CORRUPT, "the file is empty")


def test_the_kind_is_read_from_the_content(tmp_path):
    for name in ("song.wav", "song.raw", "song", "song.jpg"):
        (tmp_path / name).write_bytes(FLAC)
        assert read_audio(tmp_path / name, 30)[0].shape == (1, 3 * RATE)


@pytest.mark.parametrize("content", [WAV, FLAC, OGG, OPUS, MP3, streamed_flac(0)])
def test_long_clips_are_cut_or_refused(content):
    whole, _ = read_audio(content, 30)
    cut, _ = read_audio(content, 0.5)
    assert torch.equal(cut, whole[:, : RATE // 2])
    assert "longer than 0.5 s" in fault(content, 0.5, "refuse").why
    assert torch.equal(read_audio(content, 30, "refuse")[0], whole)


def test_a_promise_of_hours_costs_nothing():
    """Neither memory nor time for what is promised and not there."""
    bomb = streamed_flac((1 << 36) - 1)
    assert read_audio(bomb, 1.0)[0].shape == (1, RATE)
    assert "4294967 s" in fault(bomb, 60, "refuse").why


def test_a_stream_of_unknown_length_is_read_to_its_end():
    assert read_audio(streamed_flac(0), 30)[0].shape == (1, 2 * RATE)
    wave = wav_header(0xFFFFFFFF) + WAV[44:]
    assert read_audio(wave, 30)[0].shape == (1, RATE)


def test_channels_are_kept_apart():
    found, _ = read_audio(encoded(np.stack([sine(), noise()], 1)), 30)
    assert np.array_equal(found.numpy(), np.stack([sine(), noise()]))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([WAV, FLAC, OGG, OPUS]),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=8),
)
def test_no_byte_makes_it_crash(content, at, junk):
    broken = bytearray(content)
    at %= len(broken)
    broken[at : at + len(junk)] = junk
    try:
        found, rate = read_audio(bytes(broken), 30)
    except BadMedia:
        return
    assert found.shape[1] > 0
    assert found.isfinite().all()
    assert rate > 0


@pytest.mark.parametrize("content", [WAV, FLAC, OGG, OPUS, MP3])
def test_the_size_of_blocks_changes_nothing(content, monkeypatch):
    whole, _ = read_audio(content, 30)
    monkeypatch.setattr("fusionlab.encoders.audio.reading.BLOCK", 1000)
    assert torch.equal(read_audio(content, 30)[0], whole)
