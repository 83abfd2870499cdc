"""Voice activity: Silero hears speech and nothing else, whatever the chunks it is fed in."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import samples_to_pcm
from apps.core.errors import EngineUnavailable
from apps.voice import silero
from apps.voice.silero import silero_network
from apps.voice.vad import WINDOW_BYTES, EnergyVad, SileroVad
from tests.spoken import spoken


def noise(seconds: float, level: float = 1500.0) -> bytes:
    samples = np.random.default_rng(7).normal(0.0, level, int(seconds * 16_000))
    return samples_to_pcm(samples.clip(-32768, 32767).astype(np.int16))


def tone(seconds: float) -> bytes:
    t = np.arange(int(seconds * 16_000)) / 16_000
    return samples_to_pcm((8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16))


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("Good morning, I would like to register a car that I have bought.", "en"),
        ("Guten Tag, ich möchte mein Auto ummelden, was brauche ich dafür?", "de"),
    ],
)
def test_silero_hears_speech(text: str, voice: str) -> None:
    probabilities = SileroVad(silero_network()).push(spoken(text, voice))

    assert np.mean(np.array(probabilities) > 0.5) > 0.7


@pytest.mark.parametrize("pcm", [bytes(64_000), noise(2.0), noise(2.0, level=60.0), tone(2.0)])
def test_silero_hears_nothing_in_silence_noise_and_a_tone(pcm: bytes) -> None:
    probabilities = SileroVad(silero_network()).push(pcm)

    assert len(probabilities) == 62
    assert max(probabilities[4:]) < 0.5


def test_silero_marks_where_in_a_stream_the_speech_is() -> None:
    speech = spoken("I have lost my papers.", "en")
    probabilities = np.array(
        SileroVad(silero_network()).push(bytes(32_000) + speech + bytes(64_000))
    )

    first = int(np.argmax(probabilities > 0.5))
    assert 30 <= first <= 36  # one second is 31 windows
    assert probabilities[-20:].max() < 0.1


@given(cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_how_the_stream_is_cut_makes_no_difference(cuts: list[int]) -> None:
    pcm = spoken("I have lost my papers.", "en")[:24_000]
    whole = SileroVad(silero_network()).push(pcm)
    detector = SileroVad(silero_network())
    pieces: list[float] = []
    at = 0
    while at < len(pcm):
        step = cuts[at % len(cuts)]
        pieces += detector.push(pcm[at : at + step])
        at += step

    assert pieces == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("detector", [SileroVad(silero_network()), EnergyVad()])
def test_a_reset_detector_hears_like_a_fresh_one(detector: SileroVad | EnergyVad) -> None:
    speech = spoken("I have lost my papers.", "en")
    fresh = detector.push(speech)
    detector.push(b"\x01")  # half a sample is left over

    detector.reset()

    assert detector.push(speech) == fresh


def test_two_calls_share_the_network_and_do_not_hear_each_other() -> None:
    speech = spoken("I have lost my papers.", "en")
    caller, silent = SileroVad(silero_network()), SileroVad(silero_network())
    heard: list[float] = []
    nothing: list[float] = []
    for i in range(0, len(speech), WINDOW_BYTES):
        heard += caller.push(speech[i : i + WINDOW_BYTES])
        nothing += silent.push(bytes(WINDOW_BYTES))

    assert max(nothing) < 0.1
    assert heard == pytest.approx(SileroVad(silero_network()).push(speech)[: len(heard)], abs=1e-5)


def test_the_network_is_the_one_that_onnx_runtime_runs() -> None:
    pcm = spoken("Good morning, I would like to register a car.", "en") + noise(1.0)
    heard = SileroVad(silero_network()).push(pcm)

    session = onnxruntime.InferenceSession(str(silero.asset()), providers=["CPUExecutionProvider"])
    samples = np.frombuffer(pcm, "<i2")[: len(heard) * 512].astype(np.float32) / 32768
    before = np.concatenate((np.zeros(64, np.float32), samples[:-64]))
    rows = np.hstack((before.reshape(-1, 512)[:, :64], samples.reshape(-1, 512)))
    state = np.zeros((1, 1, 128), np.float32)
    expected = session.run(["speech_probs"], {"input": rows, "h": state, "c": state})[0]
    assert max(expected) > 0.9
    assert heard == pytest.approx(list(expected), abs=1e-4)


def test_a_window_costs_a_small_share_of_its_own_length() -> None:
    detector = SileroVad(silero_network())
    detector.push(noise(0.5))
    chunk = noise(0.032)
    costs_ms = []
    for _ in range(50):
        start = time.perf_counter()
        detector.push(chunk)
        costs_ms.append((time.perf_counter() - start) * 1000)

    assert np.median(costs_ms) < 8.0  # about 0.15 ms on an idle core


def test_a_missing_network_is_said_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "_ASSET", ("no_such_package", "silero.onnx"))
    silero_network.cache_clear()
    try:
        with pytest.raises(EngineUnavailable) as caught:
            silero_network()
    finally:
        silero_network.cache_clear()

    assert "faster-whisper" in caught.value.hint


def test_the_stand_in_takes_loud_windows_for_speech() -> None:
    detector = EnergyVad(threshold_dbfs=-40.0)

    assert detector.push(bytes(WINDOW_BYTES) + noise(0.032) + bytes(10)) == [0.0, 1.0]
    assert detector.push(bytes(WINDOW_BYTES - 10)) == [0.0]
