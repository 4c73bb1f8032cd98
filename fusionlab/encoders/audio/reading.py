"""Sound files (wav, flac, ogg, mp3) to waveforms; every way they can be bad has its fault."""

from __future__ import annotations

import io
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.media import Raw
from fusionlab.encoders.contract import BadMedia, Fault

if TYPE_CHECKING:
    import soundfile

RATES = 2_000, 384_000
MAX_CHANNELS = 16
LOUDEST = 2.0**31
"""The largest sample of a 32-bit integer scale; floats beyond it are no recording."""
BLOCK = 1 << 20
"""Frames decoded at a time: memory grows with what is there, not with what a header promises."""
MP3_SLACK = 2 * 1152
"""Frames that an mp3 may lack: encoders count the padding of its ends differently."""
UNKNOWN_BYTES = 0xFFFFFFFF
UNKNOWN_FRAMES = 1 << 62
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_audio(
    raw: Raw, max_seconds: float, longer: Literal["cut", "refuse"] = "cut"
) -> tuple[Tensor, int]:
    """The waveform (channels, samples) float32, full scale 1, and its sampling rate in Hz.

    A longer clip is cut to its first ``max_seconds`` (no more than that is decoded, so a small file
    that unpacks to hours costs nothing) or refused by its header. The kind of a file is read from
    its content, never from its name.

    Raises `BadMedia`: MISSING where there is no readable file; CORRUPT where it is empty, of
    another kind, broken, shorter than it promises, without samples, with samples that are not
    finite, or with a rate or a number of channels outside `RATES` and `MAX_CHANNELS`.

    Known limit: an mp3 without a Xing or Info header does not say how long it is. At a constant bit
    rate that costs nothing but the encoder's padding, up to 2304 samples, which is heard too. At a
    variable one the decoder guesses from the first frame: too long, and the file is refused as
    truncated (it began in silence); too short, and its end is not heard (it began loud). ``ffmpeg
    -i in.mp3 -c copy out.mp3`` writes the header.
    """
    import soundfile

    with _opened(raw) as file:
        _check_kind(file)
        try:
            with soundfile.SoundFile(file) as sound:
                return _decoded(sound, max_seconds, longer), sound.samplerate
        except soundfile.SoundFileError as error:
            raise BadMedia(Fault.CORRUPT, f"cannot be decoded: {_last_words(error)}") from None


def _opened(raw: Raw) -> BinaryIO:
    if isinstance(raw, bytes):
        return io.BytesIO(raw)
    if isinstance(raw, str):
        raise BadMedia(Fault.CORRUPT, "a text string where a sound file was expected")
    try:
        if not raw.is_file():  # a pipe would block for ever
            raise BadMedia(Fault.MISSING, "no such file")
        # opened by number: soundfile would guess a kind from the name of a named file
        return open(os.open(raw, os.O_RDONLY), "rb")
    except (OSError, ValueError) as error:
        raise BadMedia(Fault.MISSING, f"cannot be opened: {error}") from None


def _check_kind(file: BinaryIO) -> None:
    """Refuse what is not of a known kind, and what is visibly cut off; then rewind.

    libsndfile decodes what is left of a wav or ogg file that was cut off and says nothing.
    """
    head = file.read(12)
    length = file.seek(0, io.SEEK_END)
    if not head:
        raise BadMedia(Fault.CORRUPT, "the file is empty")
    if head[:4] in (b"RIFF", b"RIFX") and head[8:] == b"WAVE":
        cut = _wav_lacks(file, length, "little" if head[:4] == b"RIFF" else "big")
    elif head[:4] == b"OggS":
        cut = _ogg_lacks(file)
    elif head[:4] == b"fLaC" or head[:3] == b"ID3" or _is_layer_3(head):
        cut = ""  # the decoder notices
    else:
        raise BadMedia(Fault.CORRUPT, f"not a wav, flac, ogg or mp3 file: begins with {head[:4]!r}")
    if cut:
        raise BadMedia(Fault.CORRUPT, f"broken: {cut}")
    file.seek(0)


def _is_layer_3(head: bytes) -> bool:
    """Eleven bits of synchronisation, any version, layer III."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2


def _wav_lacks(file: BinaryIO, length: int, order: Literal["little", "big"]) -> str:
    """What a wav file promises and lacks, if anything: walks its chunks up to the samples."""
    at = 12
    while at + 8 <= length:
        file.seek(at)
        name = file.read(4)
        size = int.from_bytes(file.read(4), order)
        if name == b"data":
            there = length - at - 8
            if size in (UNKNOWN_BYTES, there) or size < there:
                return ""
            return f"the header promises {size} bytes of samples, there are {there}"
        at += 8 + size + size % 2
    return "no samples before the end of the file"


def _ogg_lacks(file: BinaryIO) -> str:
    """What is wrong with the pages of an ogg file, if anything: each has a checksum, the last says
    so. (The decoder skips a broken page, and what follows comes too early.)"""
    file.seek(0)
    last = 0
    while head := file.read(27):
        sizes = file.read(head[26]) if len(head) == 27 else b""
        body = file.read(sum(sizes))
        if not head.startswith(b"OggS") or len(body) < sum(sizes):
            return "its last page is missing" if last else "its first page is broken"
        checksum = int.from_bytes(head[22:26], "little")
        if checksum != _ogg_checksum(head[:22] + bytes(4) + head[26:] + sizes + body):
            return "a page with a wrong checksum"
        last = head[5] & 4
    return "" if last else "its last page is missing"


def _ogg_checksum(page: bytes) -> int:
    """Ogg's checksum is zlib's with the bits of each byte, and of the result, the other way round,
    starting at 0."""
    reflected = zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def _decoded(sound: soundfile.SoundFile, max_seconds: float, longer: str) -> Tensor:
    low, high = RATES
    if not low <= sound.samplerate <= high:
        raise BadMedia(Fault.CORRUPT, f"a sampling rate of {sound.samplerate} Hz")
    if sound.channels > MAX_CHANNELS:
        raise BadMedia(Fault.CORRUPT, f"{sound.channels} channels")
    limit = max(1, int(max_seconds * sound.samplerate))
    promised = sound.frames if sound.frames < UNKNOWN_FRAMES else 0
    if longer == "refuse" and promised > limit:
        seconds = promised / sound.samplerate
        raise BadMedia(Fault.CORRUPT, f"lasts {seconds:.0f} s, longer than {max_seconds:g} s")
    wave = _frames(sound, min(sound.frames, limit + (longer == "refuse")))
    if len(wave) > limit:
        raise BadMedia(Fault.CORRUPT, f"lasts longer than {max_seconds:g} s")
    slack = MP3_SLACK if sound.format == "MP3" else 0
    if len(wave) + slack < min(promised, limit):
        why = f"truncated: the header promises {promised} samples, {len(wave)} can be decoded"
        raise BadMedia(Fault.CORRUPT, why)
    if not len(wave):
        raise BadMedia(Fault.CORRUPT, "no samples")
    if not bool(wave.abs().le(LOUDEST).all()):  # NaN is not less or equal either
        raise BadMedia(Fault.CORRUPT, "samples that are not finite, or absurdly large")
    return wave.T.contiguous()


def _frames(sound: soundfile.SoundFile, limit: int) -> Tensor:
    """The first ``limit`` frames, or as many as there are: (samples, channels)."""
    # soundfile seeks after every read, which fails at the end of a flac stream of unknown length
    sound.seekable = lambda: False
    blocks, count = [np.empty((0, sound.channels), np.float32)], 0
    while count < limit:
        block = sound.read(min(BLOCK, limit - count), dtype="float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block)
        count += len(block)
    return torch.from_numpy(np.concatenate(blocks))


def _last_words(error: Exception) -> str:
    """What libsndfile said, without the name of the Python object it read from."""
    return str(error).rpartition(">: ")[2].strip().rstrip(".")
