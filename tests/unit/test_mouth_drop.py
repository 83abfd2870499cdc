"""A mouth whose client drops what it has not played, as soon as the mouth is held."""

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audio import FRAME_MS, FRAME_SAMPLES, samples_to_pcm
from apps.core.clock import loop_ms
from apps.voice.mouth import LEAD_MS, Mouth
from apps.voice.tts.base import WordMark
from benchmarks.interruptions.client import Client
from benchmarks.interruptions.measure import Word, heard_whole, words_heard
from tests.virtual_time import run_virtual

WORD_FRAMES = 10
PHASE = np.arange(10 * WORD_FRAMES * FRAME_SAMPLES) * 2 * np.pi * 210 / 16000
SAID = (9000 * np.sin(PHASE + np.sin(PHASE / 997)) + PHASE % 7).astype(np.int16)
WORDS = [Word(f"word{number}", part) for number, part in enumerate(SAID.reshape(10, -1))]
TEXT = " ".join(word.text for word in WORDS)


async def speech():
    for number, word in enumerate(WORDS):
        yield WordMark(number, float(number * WORD_FRAMES * FRAME_MS))
        yield samples_to_pcm(word.samples)


def held_at(wait_ms, *, silent_ms=400.0, resume=True, unplayed_ms=None):
    """Speak ten words, hold, and go on or flush; returns what the client played and was told."""
    client = Client()

    async def send(frame):
        client.receive(frame, loop_ms())

    async def drop():
        client.flush(loop_ms())

    async def scenario():
        mouth = Mouth(send, unplayed_ms=unplayed_ms, drop=drop)
        running = asyncio.create_task(mouth.run())
        saying = asyncio.create_task(mouth.say(TEXT, speech()))
        await asyncio.sleep(wait_ms / 1000)
        mouth.hold()
        await asyncio.sleep(silent_ms / 1000)
        if resume:
            mouth.resume()
            await saying
            await mouth.drained()
        heard = mouth.heard() if resume else mouth.flush()
        running.cancel()
        saying.cancel()
        return heard

    return run_virtual(scenario()), client.recording()


def test_the_client_is_silent_one_faded_frame_after_the_hold():
    _, recording = held_at(505, resume=False)
    assert len(recording) / 16 == 505 + FRAME_MS < 505 + LEAD_MS
    last = recording[-FRAME_SAMPLES:].astype(int)
    assert abs(last[-1]) < 5
    assert np.abs(last).max() > 5000


def test_the_fade_begins_where_the_client_was():
    _, recording = held_at(505, resume=False)
    assert np.abs(np.diff(recording.astype(int))).max() <= np.abs(np.diff(SAID.astype(int))).max()


@given(st.integers(0, 1900), st.integers(0, 800))
def test_every_word_is_heard_whole_when_it_goes_on(wait_ms, silent_ms):
    heard, recording = held_at(float(wait_ms), silent_ms=float(silent_ms))
    assert all(heard_whole(recording, WORDS))
    assert heard == TEXT


@given(st.integers(40, 1900))
def test_what_was_heard_is_what_the_client_played(wait_ms):
    heard, recording = held_at(float(wait_ms), resume=False)
    assert abs(len(heard.split()) - words_heard(recording, WORDS)) <= 1


def test_what_a_client_that_is_behind_drops_is_said_again():
    waiting = held_at(905, resume=False, unplayed_ms=lambda: 450.0)
    assert len(waiting[0].split()) <= 3
    _, recording = held_at(905, unplayed_ms=lambda: 450.0)
    assert all(heard_whole(recording, WORDS))


def test_a_mouth_that_is_flushed_while_the_client_drops_says_nothing_more():
    sent = []

    async def send(frame):
        sent.append(loop_ms())

    async def slow_drop():
        await asyncio.sleep(0.05)

    async def scenario():
        mouth = Mouth(send, drop=slow_drop)
        running = asyncio.create_task(mouth.run())
        saying = asyncio.create_task(mouth.say(TEXT, speech()))
        await asyncio.sleep(0.505)
        mouth.hold()
        await asyncio.sleep(0.02)
        mouth.flush()
        await asyncio.sleep(0.5)
        assert not running.done()
        running.cancel()
        saying.cancel()

    run_virtual(scenario())
    assert max(sent) < 510
