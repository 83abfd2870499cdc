"""Audio files: read any usual kind as 16 kHz mono, write WAV."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.resampler import AudioResampler

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, Samples, samples_to_pcm
from apps.core.errors import AudioError

MAX_FILE_BYTES = 256 << 20
MAX_SECONDS = 3600.0

# What a recording comes as; playlists, which could name other files and hosts, are not among it.
_FORMATS = "wav,w64,aiff,au,flac,ogg,mp3,aac,mov,matroska,webm"
_HINT = "WAV, FLAC, OGG, Opus, MP3, M4A and WebM can be read."


def read_audio(path: Path, *, max_seconds: float = MAX_SECONDS) -> Samples:
    """Read an audio file of any rate and number of channels.

    Args:
        path: The file; its contents tell its kind, not its name.
        max_seconds: More than this is refused.

    Returns:
        int16 samples at 16 kHz, shape (n,); channels are mixed down to one.

    Raises:
        AudioError: The file is missing, broken, without audio, or too long.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise AudioError(f"{path.name} is too large.", hint="At most 256 MB can be read.")
        with path.open("rb") as file, _opened(file) as container:
            parts = list(_bounded(_resampled(container), path.name, max_seconds))
    except OSError as error:  # FFmpeg's errors are OSErrors or ValueErrors as well
        raise _unreadable(path, error) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not parts:
        raise AudioError(f"{path.name} has no audio in it.", hint=_HINT)
    return np.concatenate(parts)


def write_wav(path: Path, *channels: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write a WAV file; each argument is one channel, int16 of shape (n,).

    Shorter channels are padded with silence.
    """
    if not channels:
        raise ValueError("a WAV file has at least one channel")
    frames = np.zeros((max(len(channel) for channel in channels), len(channels)), np.int16)
    for index, channel in enumerate(channels):
        frames[: len(channel), index] = channel
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(rate_hz)
        file.writeframes(samples_to_pcm(frames))


def _opened(file: BinaryIO) -> av.container.InputContainer:
    return av.open(file, mode="r", options={"format_whitelist": _FORMATS, "protocol_whitelist": ""})


def _resampled(container: av.container.InputContainer) -> Iterator[Samples]:
    """Yield the first audio stream at 16 kHz mono."""
    if not container.streams.audio:
        return
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    for frame in chain(container.decode(container.streams.audio[0]), [None]):
        for out in resampler.resample(frame):
            yield np.asarray(out.to_ndarray().reshape(-1), np.int16)


def _bounded(parts: Iterator[Samples], name: str, max_seconds: float) -> Iterator[Samples]:
    left = int(max_seconds * SAMPLE_RATE_HZ)
    for part in parts:
        left -= len(part)
        if left < 0:
            raise AudioError(f"{name} is longer than {max_seconds:g} s.", hint="Cut it.")
        yield part


def _unreadable(path: Path, error: Exception) -> AudioError:
    reason = getattr(error, "strerror", None) or str(error)
    return AudioError(f"{path.name} cannot be read as audio: {reason}.", hint=_HINT)
