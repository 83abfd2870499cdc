"""The assistant's own voice, come back from the caller's loudspeaker, is nobody's voice."""

import asyncio

import numpy as np

from apps.core.audio import FRAME_MS, FRAME_SAMPLES, samples_to_pcm
from apps.voice.ear import Ear
from apps.voice.echo import REACH_MS, EchoGate
from apps.voice.stt.fake import FakeStt
from apps.voice.turn_options import TurnOptions
from apps.voice.vad import EnergyVad
from tests.virtual_time import run_virtual

SHARP = -60.0
"""A detector that takes even an echo for a voice, as the real one does."""


def tone(dbfs):
    """20 ms at an RMS level."""
    phase = np.arange(FRAME_SAMPLES) * 2 * np.pi * 200 / 16000
    return samples_to_pcm(np.round(32768 * 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(phase)))


def gate(played_dbfs=-12.0, at_ms=0.0):
    echo = EchoGate()
    echo.played(tone(played_dbfs), at_ms)
    return echo


def test_what_is_much_quieter_than_what_is_played_may_be_its_echo():
    assert gate().covers(tone(-42), 20.0)


def test_who_speaks_into_the_microphone_is_louder_than_any_echo():
    assert not gate().covers(tone(-30), 20.0)


def test_an_echo_comes_neither_before_the_sound_nor_long_after_it():
    assert not gate(at_ms=60.0).covers(tone(-42), 40.0)
    assert gate(at_ms=60.0).covers(tone(-42), 60.0 + REACH_MS)
    assert not gate(at_ms=60.0).covers(tone(-42), 61.0 + REACH_MS)


def test_while_nothing_is_played_nobody_is_too_quiet():
    assert not EchoGate().covers(tone(-60), 0.0)


def test_the_loudest_of_what_was_just_played_counts():
    echo = gate(-12.0)
    echo.played(tone(-40), 20.0)
    assert echo.covers(tone(-42), 100.0)


def heard(*caller, played):
    """Return what an ear tells of 20 ms frames of a caller while something is played."""
    told = []

    async def listen():
        async with asyncio.TaskGroup() as tasks:
            ear = Ear(
                vad=EnergyVad(SHARP),
                stt=FakeStt(["hello"]),
                profile="kfz",
                options=TurnOptions(),
                tell=lambda heard: told.append(heard.kind),
                tasks=tasks,
            )
            ear.playback(interruptible=True)
            for frame in caller:
                await asyncio.sleep(FRAME_MS / 1000)
                if played is not None:
                    ear.played(played, asyncio.get_running_loop().time() * 1000)
                ear.hear(frame)
            ear.close()

    run_virtual(listen())
    return told


def test_the_assistant_is_not_interrupted_by_its_own_echo():
    assert heard(*[tone(-45)] * 50, played=tone(-12)) == []
    assert "hold" in heard(*[tone(-45)] * 50, played=None)


def test_a_caller_over_the_echo_is_heard():
    assert "hold" in heard(*[tone(-45)] * 20, *[tone(-28)] * 20, played=tone(-12))
