"""Holes in the audio are filled with what came before, smoothly and not for long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import Samples, pcm_to_samples, samples_to_pcm
from apps.voice.concealment import Concealment

FRAME = 320


def tone(hz: float, samples: int, level: float = 8000.0) -> Samples:
    at = np.arange(samples) / 16000
    wave = sum(np.sin(2 * np.pi * hz * k * at) / k for k in (1, 2, 3))
    return np.asarray(wave * level / 1.5, np.int16)


def through(samples: Samples, lost_frames: set[int]) -> Samples:
    concealment, out = Concealment(), []
    for n in range(len(samples) // FRAME):
        frame = samples_to_pcm(samples[n * FRAME : (n + 1) * FRAME])
        out.append(concealment.lost(FRAME) if n in lost_frames else concealment.good(frame))
    return pcm_to_samples(b"".join(out))


def test_what_comes_without_a_hole_passes_untouched() -> None:
    speech = tone(140, 20 * FRAME)
    assert np.array_equal(through(speech, set()), speech)


@pytest.mark.parametrize("hz", [90.0, 143.0, 260.0])
def test_a_lost_frame_of_a_voiced_sound_sounds_on(hz: float) -> None:
    speech = tone(hz, 20 * FRAME)
    filled = through(speech, {10})
    hole = slice(10 * FRAME, 11 * FRAME)
    error = filled[hole].astype(float) - speech[hole].astype(float)
    assert np.sqrt(np.mean(error**2)) < 0.35 * np.sqrt(np.mean(speech[hole].astype(float) ** 2))


@pytest.mark.parametrize("hz", [90.0, 143.0, 260.0])
def test_no_click_at_either_seam(hz: float) -> None:
    speech = tone(hz, 20 * FRAME)
    steepest = np.abs(np.diff(speech.astype(int))).max()
    assert np.abs(np.diff(through(speech, {10, 11}).astype(int))).max() < 1.5 * steepest


def test_a_long_hole_fades_to_silence() -> None:
    filled = through(tone(140, 20 * FRAME), set(range(10, 16)))
    assert np.abs(filled[10 * FRAME : 11 * FRAME]).max() > 4000
    assert not filled[13 * FRAME : 16 * FRAME].any()


def test_a_hole_before_anything_came_is_silence() -> None:
    assert not pcm_to_samples(Concealment().lost(FRAME)).any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 700)), max_size=12), st.integers(0, 99))
def test_as_much_comes_out_as_goes_in(pieces: list[tuple[bool, int]], seed: int) -> None:
    noise = np.random.default_rng(seed)
    concealment = Concealment()
    for lost, samples in pieces:
        loud = noise.integers(-32768, 32767, samples, np.int16, endpoint=True)
        out = concealment.lost(samples) if lost else concealment.good(samples_to_pcm(loud))
        assert len(out) == 2 * samples
