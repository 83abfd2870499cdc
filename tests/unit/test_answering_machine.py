"""Who picked up: people wait after a short greeting, machines talk on and beep."""

from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audio import SAMPLE_RATE_HZ, samples_to_pcm
from apps.voice.answering_machine import (
    Callee,
    Screen,
    ScreenOptions,
    ToneFinder,
    Window,
    needed_pause_ms,
    step,
)
from apps.voice.vad import WINDOW_MS, WINDOW_SAMPLES

OPTIONS = ScreenOptions()


def hear(*parts, options=OPTIONS):
    """Feed stretches of ("voice" | "quiet" | pitch, ms); return what was found and when."""
    screen, found = Screen(), []
    ends = count(WINDOW_MS, WINDOW_MS)
    for kind, ms in parts:
        for _ in range(round(ms / WINDOW_MS)):
            hz = kind if isinstance(kind, int) else None
            voice = 0.9 if kind == "voice" else 0.1
            screen, verdict = step(screen, Window(next(ends), voice, hz), options)
            if verdict is not None:
                found.append((verdict.callee, verdict.at_ms))
    return found


def kinds(*parts):
    return [callee for callee, _ in hear(*parts)]


def test_a_short_greeting_and_a_silence_make_a_person():
    assert kinds(("quiet", 500), ("voice", 600), ("quiet", 5000)) == [Callee.HUMAN]


def test_a_person_is_known_soon_after_their_hello():
    ((_, at_ms),) = hear(("quiet", 512), ("voice", 640), ("quiet", 5000))
    assert at_ms == pytest.approx(512 + 640 + 900, abs=WINDOW_MS)


@pytest.mark.parametrize("ms", [1600, 2200, 2800, 3400])
def test_who_talks_longer_is_waited_for_longer_and_never_longer_than_the_patience(ms):
    ((callee, at_ms),) = hear(("voice", ms), ("quiet", 5000))
    assert callee is Callee.HUMAN
    assert 900 <= at_ms - ms <= OPTIONS.patience_ms + WINDOW_MS


def test_who_talks_on_and_on_is_a_machine():
    ((callee, at_ms),) = hear(("voice", 6000))
    assert callee is Callee.MACHINE
    assert at_ms == pytest.approx(OPTIONS.long_ms, abs=WINDOW_MS)


def test_a_machine_may_pause_within_its_greeting():
    assert kinds(("voice", 500), ("quiet", 600), ("voice", 4000))[0] is Callee.MACHINE


def test_a_beep_tells_a_machine_when_it_has_ended():
    ((callee, at_ms),) = hear(("voice", 800), ("quiet", 500), (1000, 320), ("quiet", 320))
    assert callee is Callee.BEEP
    assert at_ms == pytest.approx(800 + 500 + 320 + WINDOW_MS, abs=2 * WINDOW_MS)


def test_after_a_machine_comes_its_beep():
    assert kinds(("voice", 5000), ("quiet", 600), (620, 400), ("quiet", 5000)) == [
        Callee.MACHINE,
        Callee.BEEP,
        Callee.SILENT,
    ]


def test_a_machine_that_falls_silent_without_a_beep_is_told():
    assert kinds(("voice", 5000), ("quiet", 5000)) == [Callee.MACHINE, Callee.SILENT]


def test_a_beep_after_a_person_is_told_all_the_same():
    parts = (("voice", 500), ("quiet", 1500), (1400, 400), ("quiet", 100))
    assert kinds(*parts) == [Callee.HUMAN, Callee.BEEP]


def test_nobody_is_waited_for_longer_than_the_patience():
    ((callee, at_ms),) = hear(("quiet", 6000))
    assert callee is Callee.SILENT
    assert at_ms == pytest.approx(OPTIONS.patience_ms, abs=WINDOW_MS)


@pytest.mark.parametrize("ms", [32, 64, 128])
def test_a_tone_that_is_too_short_is_no_beep(ms):
    assert Callee.BEEP not in kinds(("quiet", 500), (1000, ms), ("quiet", 5000))


def test_a_tone_without_an_end_is_a_machine_s():
    ((callee, at_ms),) = hear(("quiet", 320), (440, 9000))
    assert callee is Callee.MACHINE
    assert at_ms == pytest.approx(320 + OPTIONS.longest_beep_ms, abs=2 * WINDOW_MS)


def test_a_tone_that_glides_is_no_beep():
    glide = [(400 + 60 * place, 32) for place in range(20)]
    assert Callee.BEEP not in kinds(("quiet", 500), *glide, ("quiet", 3000))


def test_a_click_begins_no_greeting():
    assert kinds(("voice", 64), ("quiet", 6000)) == [Callee.SILENT]


@given(st.floats(0, 10_000))
def test_the_silence_that_is_needed_grows_with_the_greeting_up_to_the_patience(greeting_ms):
    needed = needed_pause_ms(greeting_ms, OPTIONS)
    assert OPTIONS.short_pause_ms <= needed <= OPTIONS.patience_ms
    assert needed <= needed_pause_ms(greeting_ms + 100, OPTIONS)


@given(
    st.lists(st.tuples(st.sampled_from(["voice", "quiet", 440, 1000, 1003]), st.integers(32, 2000)))
)
def test_a_callee_is_decided_about_once_and_never_later_than_they_can_be(parts):
    found = hear(*parts)
    people = [callee for callee, _ in found if callee in (Callee.HUMAN, Callee.MACHINE)]
    assert len(people) <= 1
    talked_ms = sum(round(ms / WINDOW_MS) * WINDOW_MS for _, ms in parts)
    tones = any(isinstance(kind, int) for kind, _ in parts)
    if talked_ms > OPTIONS.long_ms + OPTIONS.patience_ms + 200 and not tones:
        assert found
        assert found[0][1] <= OPTIONS.long_ms + OPTIONS.patience_ms + 200


# --- tones


def tone(*pitches, ms=320, noise=0.0, level=0.2):
    at = np.arange(int(ms * SAMPLE_RATE_HZ / 1000)) / SAMPLE_RATE_HZ
    wave = sum(level * np.sin(2 * np.pi * hz * at) for hz in pitches)
    wave = wave + noise * np.random.default_rng(3).standard_normal(len(at))
    return samples_to_pcm((np.clip(wave, -1, 1) * 32767).astype(np.int16))


@pytest.mark.parametrize("hz", [400, 440, 620, 800, 1000, 1234, 1400, 1750, 2000])
def test_the_pitch_of_a_tone_is_found(hz):
    found = ToneFinder().push(tone(hz))
    assert len(found) == 10
    assert all(pitch == pytest.approx(hz, rel=0.01) for pitch in found)


@pytest.mark.parametrize("hz", [400, 1000, 2000])
def test_a_tone_is_found_in_a_street_s_noise(hz):
    found = ToneFinder().push(tone(hz, noise=0.05))
    assert sum(pitch is not None for pitch in found) >= 9


@pytest.mark.parametrize("pitches", [(697, 1209), (941, 1633), (770, 1336)])
def test_a_key_s_two_tones_are_none(pitches):
    low, high = pitches
    loud = tone(low, level=0.1)
    assert ToneFinder().push(tone(*pitches)) == [None] * 10
    twisted = np.frombuffer(loud, "<i2") + np.frombuffer(tone(high, level=0.19), "<i2")
    assert ToneFinder().push(samples_to_pcm(twisted)) == [None] * 10


def test_a_vowel_noise_and_silence_are_none():
    vowel = tone(*(150 * n for n in range(1, 12)), level=0.05)
    hiss = tone(noise=0.1)
    for sound in (vowel, hiss, bytes(len(vowel)), tone(1000, level=0.001), tone(3000), tone(250)):
        assert ToneFinder().push(sound) == [None] * 10


@given(st.lists(st.integers(1, 700), max_size=20))
def test_windows_do_not_depend_on_how_the_audio_is_cut(sizes):
    pcm = tone(1000, ms=200)
    whole = ToneFinder().push(pcm)
    finder, found, at = ToneFinder(), [], 0
    for size in (*sizes, len(pcm)):
        found += finder.push(pcm[at : at + 2 * size])
        at += 2 * size
    assert found == whole
    assert len(whole) == len(pcm) // 2 // WINDOW_SAMPLES
