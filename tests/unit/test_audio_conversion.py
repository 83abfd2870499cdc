"""Resampling and audio files: what comes out is what went in, at another rate or in a file."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import Samples
from apps.core.errors import AudioError
from apps.voice.audiofile import read_audio, write_wav
from apps.voice.resample import Resampler, resample


def tone(hz: float, seconds: float, rate_hz: int, amplitude: float = 10_000.0) -> Samples:
    moments = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * hz * moments)).astype(np.int16)


def encoded(path: Path, codec: str, samples: Samples, rate_hz: int, layout: str) -> Path:
    """Write a file with FFmpeg; every channel gets the same samples."""
    channels = 2 if layout == "stereo" else 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(samples, channels).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate_hz, frame_size=stream.frame_size or 960
        )
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return path


def pitch_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(float) * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 16_000 / len(samples))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(8000, 16000), (22050, 16000), (24000, 16000), (48000, 16000), (44100, 16000), (16000, 8000)],
)
def test_a_tone_keeps_its_pitch_level_and_time(from_hz: int, to_hz: int) -> None:
    out = resample(tone(1000, 0.5, from_hz), from_hz, to_hz).astype(float)
    wanted = tone(1000, 0.5, to_hz).astype(float)
    assert abs(len(out) - len(wanted)) <= 2
    middle = slice(200, min(len(out), len(wanted)) - 200)
    assert np.std(out[middle] - wanted[middle]) < 20  # 50 dB below the tone


def test_what_the_lower_rate_cannot_carry_is_filtered_out() -> None:
    out = resample(tone(11_000, 0.5, 48_000), 48_000, 16_000)
    assert np.std(out[200:-200]) < 30


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=8), st.sampled_from([8000, 22050]))
def test_a_stream_resamples_alike_however_it_is_cut(sizes: list[int], rate_hz: int) -> None:
    samples = tone(700, sum(sizes) / rate_hz, rate_hz)[: sum(sizes)]
    stream = Resampler(rate_hz)
    parts, start = [], 0
    for size in sizes:
        parts.append(stream.push(samples[start : start + size]))
        start += size
    parts.append(stream.flush())
    assert np.array_equal(np.concatenate(parts), resample(samples, rate_hz))


def test_equal_rates_pass_through_untouched() -> None:
    samples = tone(440, 0.1, 16_000)
    assert np.array_equal(resample(samples, 16_000), samples)


@pytest.mark.parametrize("rate_hz", [0, -8000, 3999, 192_001])
def test_an_impossible_rate_is_refused(rate_hz: int) -> None:
    with pytest.raises(AudioError, match="not supported"):
        Resampler(rate_hz)


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.wav", "pcm_s16le", 44_100),
        ("a.flac", "flac", 8_000),
        ("a.ogg", "libopus", 48_000),
        ("a.mp3", "libmp3lame", 44_100),
    ],
)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_files_of_any_kind_rate_and_channels_come_out_as_16_khz_mono(
    tmp_path: Path, name: str, codec: str, rate_hz: int, layout: str
) -> None:
    file = encoded(tmp_path / name, codec, tone(500, 1.0, rate_hz), rate_hz, layout)
    samples = read_audio(file)
    assert samples.dtype == np.int16
    assert abs(len(samples) - 16_000) < 1600
    assert abs(pitch_hz(samples) - 500) < 5
    assert 5000 < np.std(samples[2000:-2000]) < 9000


@pytest.mark.parametrize(
    "content", [b"", b"no audio at all", b"RIFF\x10\0\0\0WAVEfmt ", b"ID3" + bytes(200)]
)
def test_what_is_no_audio_is_refused_with_a_hint(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.wav"
    file.write_bytes(content)
    with pytest.raises(AudioError, match=r"broken\.wav") as caught:
        read_audio(file)
    assert "FLAC" in caught.value.hint


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(AudioError, match="cannot be read"):
            read_audio(path)


def test_a_playlist_cannot_make_us_read_another_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "secret.wav", tone(500, 0.2, 16_000))
    playlist = tmp_path / "list.wav"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n")
    with pytest.raises(AudioError):
        read_audio(playlist)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", tone(500, 2.0, 16_000))
    with pytest.raises(AudioError, match="longer than 1 s"):
        read_audio(tmp_path / "long.wav", max_seconds=1.0)


def test_a_stereo_wav_keeps_each_side_and_pads_the_shorter(tmp_path: Path) -> None:
    left, right = tone(300, 0.2, 16_000), tone(600, 0.1, 16_000)
    write_wav(tmp_path / "call.wav", left, right)
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 16_000, 3200)
        frames = np.frombuffer(file.readframes(3200), "<i2").reshape(-1, 2)
    assert np.array_equal(frames[:, 0], left)
    assert np.array_equal(frames[:1600, 1], right)
    assert not frames[1600:, 1].any()


def test_a_mono_wav_reads_back_as_it_was_written(tmp_path: Path) -> None:
    samples = tone(300, 0.2, 16_000)
    write_wav(tmp_path / "mono.wav", samples)
    assert np.array_equal(read_audio(tmp_path / "mono.wav"), samples)


def test_a_wav_without_a_channel_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one channel"):
        write_wav(tmp_path / "none.wav")
