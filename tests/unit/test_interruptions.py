"""Callers who speak over an answer: whole calls with the real VAD, mouth and synthesiser.

A small part of `make bench-interruptions`, in virtual time; the measures themselves come first.
"""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from apps.core.audio import FRAME_BYTES, SAMPLE_RATE_HZ
from apps.core.resources import resource
from apps.knowledge.retriever import Retriever
from benchmarks.interruptions.call import Case, Office
from benchmarks.interruptions.client import Client
from benchmarks.interruptions.engines import Recordings
from benchmarks.interruptions.measure import (
    Word,
    breaks_ms,
    heard_whole,
    silent_after_ms,
    words_heard,
)
from benchmarks.interruptions.sounds import Kind, Sound, coughs, saying
from benchmarks.turns.voices import Voices

QUESTIONS = {
    "en": ("how do I change the address in my registration",),
    "de": ("wie ändere ich die Adresse im Fahrzeugschein",),
}
SAID = (
    (Kind.INTERRUPTION, "en", "no wait", "espeak:en-us+f2"),
    (Kind.INTERRUPTION, "en", "what about a trailer", "espeak:en-us+m3"),
    (Kind.INTERRUPTION, "de", "nein warte mal", "espeak:de+f2"),
    (Kind.INTERRUPTION, "de", "Moment", "espeak:de+m3"),
    (Kind.BACKCHANNEL, "en", "right", "espeak:en-us+m3"),
    (Kind.BACKCHANNEL, "de", "alles klar", "espeak:de+f2"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    async def make():
        voices = Voices(tmp_path_factory.mktemp("voices"))
        try:
            said = [await saying(voices, *each, -26.0) for each in SAID]
            return said + await coughs(voices, "de", 2, (-20.0,))
        finally:
            await voices.close()

    return asyncio.run(make())


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """An office that knows about addresses only: it opens sooner."""
    folder = tmp_path_factory.mktemp("knowledge")
    for language in QUESTIONS:
        (folder / "kfz" / language).mkdir(parents=True)
        page = Path("kfz", language, "address.md")
        shutil.copy(resource("knowledge") / page, folder / page)
    with Recordings() as recordings:
        yield Office(recordings, questions=QUESTIONS, knows=Retriever.from_folder(folder))


@pytest.fixture(scope="module")
def held(office, made):
    """Every sound made over an answer."""
    return [office.hold(Case(sound)) for sound in made]


def of(held, *kinds):
    return [h for h in held if h.case.sound.kind in kinds]


# --- the measures

NOISE = np.random.default_rng(1).integers(-9000, 9000, 4000).astype(np.int16)
WORDS = [Word(str(n), NOISE[n * 1000 : (n + 1) * 1000]) for n in range(4)]


def test_words_are_whole_only_if_their_very_samples_were_heard_in_order():
    gap = np.zeros(333, np.int16)
    again = np.concatenate((gap, NOISE[:2500], gap, NOISE[2000:]))
    assert heard_whole(again, WORDS) == [True] * 4
    gone_on = np.concatenate((NOISE[:2500], gap, NOISE[2500:]))
    assert heard_whole(gone_on, WORDS) == [True, True, False, True]
    faded = np.concatenate((NOISE[:2000], NOISE[2000:] // 2))
    assert heard_whole(faded, WORDS) == [True, True, False, False]


def test_a_word_counts_as_heard_when_more_than_half_of_it_was_played():
    assert [words_heard(NOISE[:n], WORDS) for n in (0, 400, 1400, 1600, 4000)] == [0, 0, 1, 2, 4]


def test_silence_begins_behind_the_last_loud_window():
    recording = np.concatenate((NOISE, np.full(8000, 50, np.int16), NOISE))
    assert silent_after_ms(recording, 2000, 12000) == pytest.approx(125, abs=1)
    assert silent_after_ms(recording, 5000, 12000) == 0


def test_a_break_is_where_frames_cease_for_a_while():
    assert breaks_ms([0, 20, 40, 500, 520], 30) == [(40, 500)]
    assert breaks_ms([0, 20, 40, 500, 520], 510) == []


def test_a_client_plays_frames_one_after_the_other_and_drops_them_when_flushed():
    client, frame = Client(), b"\1\0" * (FRAME_BYTES // 2)
    client.receive(frame, 10.0)
    client.receive(frame, 11.0)
    client.flush(35.0)
    client.receive(frame, 100.0)
    heard = np.flatnonzero(client.recording()) / (SAMPLE_RATE_HZ // 1000)
    assert (heard[0], heard[-1]) == (10.0, pytest.approx(120.0, abs=0.1))
    assert not client.recording()[35 * 16 : 100 * 16].any()
    assert len(client.heard(-10, 200)) == 210


# --- calls


def test_an_answer_that_nobody_disturbs_is_heard_whole(office):
    silent = Sound("silence", Kind.COUGH, "en", -100.0, (), (), np.zeros(160, np.int16))
    undisturbed = office.hold(Case(silent))
    assert undisturbed.signals == ()
    assert all(undisturbed.whole)
    assert undisturbed.history == undisturbed.heard == len(undisturbed.whole) > 20


def test_who_interrupts_hears_silence_within_a_quarter_of_a_second(held):
    interrupted = of(held, Kind.INTERRUPTION)
    assert all(h.barged_in for h in interrupted)
    assert all(h.silent_ms <= 250 for h in interrupted)


def test_the_history_holds_what_was_heard_to_a_word(held):
    interrupted = of(held, Kind.INTERRUPTION)
    assert all(abs(h.history - h.heard) <= 1 for h in interrupted)
    assert all(0 < h.heard < len(h.whole) for h in interrupted)


def test_after_a_cough_or_a_backchannel_every_word_is_heard_at_full_level(held):
    over = of(held, Kind.BACKCHANNEL, Kind.COUGH)
    assert not any(h.barged_in for h in over)
    assert all(all(h.whole) for h in over)
    assert any(h.paused_ms for h in over)


def test_a_call_can_be_held_again_to_the_sample(office, made, held):
    again, first = office.hold(Case(made[0])), held[0]
    assert (again.signals, again.silent_ms) == (first.signals, first.silent_ms)
