"""The mouth: pacing, flushing, and what the caller has heard."""

import asyncio

from apps.core.audio import FRAME_BYTES
from apps.core.clock import loop_ms
from apps.voice.mouth import LEAD_MS, Mouth
from apps.voice.playout import Spoken
from tests.virtual_time import run_virtual


async def audio(frames, pause_s=0.0):
    for _ in range(frames):
        if pause_s:
            await asyncio.sleep(pause_s)
        yield b"\1\0" * (FRAME_BYTES // 2)


class Listener:
    """Receives frames and notes when."""

    def __init__(self, stall_s=0.0):
        self.at_ms = []
        self.stall_s = stall_s

    async def __call__(self, _frame):
        self.at_ms.append(round(loop_ms()))
        if self.stall_s:
            stall, self.stall_s = self.stall_s, 0.0
            await asyncio.sleep(stall)


async def speaking(listener, scenario):
    mouth = Mouth(listener)
    task = asyncio.create_task(mouth.run())
    try:
        return await scenario(mouth)
    finally:
        task.cancel()


def test_frames_leave_every_20_ms_with_a_small_lead():
    async def scenario(mouth):
        await mouth.say("Hello.", audio(50))
        await mouth.drained()
        return loop_ms()

    listener = Listener()
    end_ms = run_virtual(speaking(listener, scenario))
    assert end_ms == 1000
    assert listener.at_ms[:4] == [0, 0, 0, 0]
    assert listener.at_ms[10] == 200 - LEAD_MS
    assert listener.at_ms[-1] == 980 - LEAD_MS


def test_after_a_stall_it_catches_up_with_its_schedule():
    async def scenario(mouth):
        await mouth.say("Hello.", audio(50))
        await mouth.drained()
        return loop_ms()

    listener = Listener(stall_s=0.5)
    assert run_virtual(speaking(listener, scenario)) == 1000
    assert listener.at_ms[-1] == 980 - LEAD_MS


def test_a_schedule_that_ran_dry_starts_anew():
    async def scenario(mouth):
        await mouth.say("Slow.", audio(5, pause_s=0.1))
        await mouth.drained()

    listener = Listener()
    run_virtual(speaking(listener, scenario))
    assert [round(t) for t in listener.at_ms] == [100, 200, 300, 400, 500]


def test_a_flush_stops_at_once_and_tells_the_words_that_were_heard():
    async def scenario(mouth):
        await mouth.say("One two three four", audio(50))
        await asyncio.sleep(0.5)
        heard = mouth.flush()
        sent = len(listener.at_ms)
        await asyncio.sleep(1)
        assert len(listener.at_ms) == sent
        return heard

    listener = Listener()
    assert run_virtual(speaking(listener, scenario)) == "One two"


def test_a_whole_sentence_counts_as_heard_when_its_last_frame_was():
    async def scenario(mouth):
        await mouth.say("First sentence.", audio(20))
        await mouth.say("Second sentence.", audio(20))
        await asyncio.sleep(0.45)
        return mouth.heard()

    assert run_virtual(speaking(Listener(), scenario)) == "First sentence."


def test_speaking_faster_than_the_caller_listens_has_to_wait():
    async def scenario(mouth):
        await mouth.say("Long.", audio(500))
        return loop_ms()

    queued_ms = run_virtual(speaking(Listener(), scenario))
    assert 6500 <= queued_ms <= 7500


def test_words_of_a_sentence_still_being_made_are_not_counted_too_early():
    spoken = Spoken("a long sentence whose audio has only just begun to arrive", frames=5, sent=5)
    assert spoken.heard() in ("", "a")
