"""Features: the same as PocketSphinx's own, however the audio is cut, and fit for telephones."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import SAMPLE_RATE_HZ, Samples
from apps.voice.g711 import ulaw_decode, ulaw_encode
from apps.voice.resample import resample
from apps.voice.stt.band import is_narrow, less_mean, normalised_cepstra, speech_frames
from apps.voice.stt.features import CEPSTRA, FILTERS, MelStream, log_mel, to_cepstra


def voice(seconds: float = 1.0, seed: int = 1) -> Samples:
    """A buzz with formant-like bands and some breath, between silences."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * 120 * k * t + k) / k**0.7 for k in range(1, 55))
    envelope = 0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 2.5 * t))
    speech = envelope * (1500 * np.asarray(buzz) + 200 * rng.standard_normal(len(t)))
    quiet = 3 * rng.standard_normal(SAMPLE_RATE_HZ // 4)
    return np.concatenate((quiet, speech, quiet)).astype(np.int16)


def over_the_telephone(samples: Samples) -> Samples:
    return resample(ulaw_decode(ulaw_encode(resample(samples, SAMPLE_RATE_HZ, 8000))), 8000)


@pytest.mark.slow
def test_the_front_end_computes_what_pocketsphinx_computes(tmp_path: Path) -> None:
    samples = voice()
    words, grammar = tmp_path / "w.dict", "#JSGF V1.0; grammar g; public <g> = a;"
    words.write_text("a AH\n")
    decoder = pocketsphinx.Decoder(
        loglevel="FATAL", lm=None, dict=str(words), mfclogdir=str(tmp_path)
    )
    decoder.add_jsgf_string("g", grammar)
    decoder.activate_search("g")
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), full_utt=True)
    decoder.end_utt()
    raw = next(tmp_path.glob("*.mfc")).read_bytes()
    (count,) = struct.unpack(">i", raw[:4])
    theirs = np.frombuffer(raw[4:], ">f4")[:count].reshape(-1, CEPSTRA)
    ours = to_cepstra(log_mel(MelStream().push(samples)))
    assert abs(len(theirs) - len(ours)) <= 1
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8))
def test_features_do_not_depend_on_how_the_audio_was_cut(cuts: list[int]) -> None:
    samples = voice(0.3)
    stream = MelStream()
    edges = [0, *np.minimum(np.cumsum(cuts), len(samples)).tolist(), len(samples)]
    parts = [stream.push(samples[a:b]) for a, b in pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(parts), MelStream().push(samples), rtol=1e-9)


def test_too_little_audio_gives_no_frame() -> None:
    assert MelStream().push(np.zeros(100, np.int16)).shape == (0, FILTERS)
    assert MelStream().push(np.zeros(0, np.int16)).shape == (0, FILTERS)


def test_digital_silence_gives_finite_features() -> None:
    mel = MelStream().push(np.zeros(16000, np.int16))
    for narrow in (False, True):
        assert np.isfinite(normalised_cepstra(mel, narrow=narrow)).all()


def test_a_telephone_is_told_from_a_wide_band_microphone() -> None:
    samples = voice()
    assert not is_narrow(MelStream().push(samples))
    assert is_narrow(MelStream().push(over_the_telephone(samples)))
    assert not is_narrow(np.zeros((0, FILTERS)))


def test_telephone_speech_is_brought_nearer_to_wide_band_speech() -> None:
    wide = MelStream().push(voice())
    phone = MelStream().push(over_the_telephone(voice()))[: len(wide)]
    wide = wide[: len(phone)]
    speech = speech_frames(wide)
    target = normalised_cepstra(wide, narrow=False)[speech]
    as_it_is = normalised_cepstra(phone, narrow=False)[speech]
    made_wide = normalised_cepstra(phone, narrow=True)[speech]
    assert np.abs(made_wide - target).mean() < 0.8 * np.abs(as_it_is - target).mean()


def test_more_silence_around_a_word_hardly_moves_its_features() -> None:
    word = voice(0.4)
    rng = np.random.default_rng(2)
    quiet = (3 * rng.standard_normal(2 * SAMPLE_RATE_HZ)).astype(np.int16)
    short = MelStream().push(word)
    padded = MelStream().push(np.concatenate((word, quiet)))
    features = less_mean(log_mel(short), short)
    with_silence = less_mean(log_mel(padded), padded)[: len(features)]
    naive = log_mel(padded) - log_mel(padded).mean(axis=0)
    assert (
        np.abs(with_silence - features).mean()
        < 0.3 * np.abs(naive[: len(features)] - features).mean()
    )
