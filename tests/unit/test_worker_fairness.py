"""Callers share a worker fairly: who floods it, or asks for much, holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing
from pathlib import Path

from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.espeak import EspeakTts
from apps.voice.workers.fair import FairInbox
from apps.voice.workers.host import WorkerHost
from apps.voice.workers.spec import WorkerSpec
from apps.voice.workers.wire import Frame, Kind

PROGRAMS = Path(__file__).parent.parent / "worker_programs"


def inbox(*frames: Frame) -> FairInbox:
    made = FairInbox()
    for frame in frames:
        made.put(frame)
    return made


def opened(stream: int) -> Frame:
    return Frame(Kind.OPEN, stream)


def message(stream: int, number: int = 0) -> Frame:
    return Frame(Kind.DATA, stream, {"number": number})


def handled(waiting: FairInbox, cost_s: dict[int, float], count: int) -> list[int]:
    """The streams of the next frames, when each costs what its stream costs."""
    order = []
    for _ in range(count):
        frame = waiting.get()
        assert frame is not None
        waiting.charge(frame.stream, cost_s[frame.stream])
        order.append(frame.stream)
    return order


def test_one_stream_s_messages_keep_their_order() -> None:
    waiting = inbox(opened(1), *(message(1, number) for number in range(5)))
    frames = [waiting.get() for _ in range(6)]
    assert [frame.kind for frame in frames if frame] == [Kind.OPEN] + [Kind.DATA] * 5
    assert [frame.header["number"] for frame in frames[1:] if frame] == [0, 1, 2, 3, 4]


def test_who_sends_much_takes_turns_with_who_sends_little() -> None:
    waiting = inbox(opened(1), *(message(1) for _ in range(50)))
    handled(waiting, {1: 0.01}, 20)
    for frame in (opened(2), message(2), message(2)):
        waiting.put(frame)
    assert handled(waiting, {1: 0.01, 2: 0.01}, 6).count(2) == 3


def test_whose_messages_cost_more_waits_longer() -> None:
    waiting = inbox(opened(1), opened(2), *(message(n) for n in (1, 2) for _ in range(40)))
    order = handled(waiting, {1: 0.3, 2: 0.1}, 40)
    assert abs(order.count(2) - 3 * order.count(1)) <= 3


def test_a_quiet_time_earns_nothing_that_could_be_spent_at_once() -> None:
    waiting = inbox(opened(1), opened(2), *(message(2) for _ in range(100)))
    handled(waiting, {1: 0.1, 2: 0.1}, 60)  # stream 1 kept quiet
    for _ in range(20):
        waiting.put(message(1))
    assert handled(waiting, {1: 0.1, 2: 0.1}, 20).count(1) <= 11


def test_the_worker_s_own_messages_never_wait() -> None:
    waiting = inbox(opened(1), message(1), Frame(Kind.PING))
    frame = waiting.get()
    assert frame is not None
    assert frame.kind is Kind.PING


def test_nothing_is_kept_of_a_stream_that_is_over() -> None:
    waiting = inbox(opened(1), message(1), message(1), message(7))
    waiting.forget(1)
    waiting.put(message(1))
    assert waiting.qsize() == 0
    assert waiting.empty()


def test_who_waits_is_woken_by_a_message_and_by_the_end() -> None:
    waiting, got = FairInbox(), []
    thread = threading.Thread(target=lambda: got.extend([waiting.get(), waiting.get()]))
    thread.start()
    waiting.put(Frame(Kind.PING))
    while not got and thread.is_alive() and waiting.qsize():
        time.sleep(0.001)
    waiting.close()
    thread.join(10)
    assert [frame.kind if frame else None for frame in got] == [Kind.PING, None]


async def test_a_flood_on_one_stream_of_a_process_does_not_starve_another() -> None:
    spec = WorkerSpec(
        "echo", "echo_worker", (), ready_timeout_s=20.0, env={"PYTHONPATH": str(PROGRAMS)}
    )
    host = WorkerHost(spec)
    await host.start()
    try:
        flood = host.open({})
        for _ in range(200):  # two seconds of work
            flood.send({"do": "sleep", "s": 0.01})
        await asyncio.sleep(0.1)
        began = time.monotonic()
        sentence = host.open({})
        for _ in range(10):
            sentence.send({}, b"words")
        sentence.send({"do": "finish"})
        replies = 0
        while await sentence.receive() is not None:
            replies += 1
        assert replies == 11
        assert time.monotonic() - began < 0.7
        flood.cancel()
    finally:
        await host.close()


async def test_a_caller_who_asks_for_endless_speech_does_not_starve_another_s_sentences() -> None:
    tts, style = EspeakTts(), SpeechStyle("en")
    spoken = 0

    async def speak_without_end() -> None:
        nonlocal spoken
        while True:
            async with aclosing(tts.synthesise("and so on " * 190, style)) as chunks:
                async for _ in chunks:
                    pass
            spoken += 1

    await tts.start()
    endless = asyncio.create_task(speak_without_end())
    try:
        for _ in range(4):
            await asyncio.sleep(0.1)
            before = spoken
            async with aclosing(tts.synthesise("Room five.", style)) as chunks:
                assert len([chunk async for chunk in chunks]) > 0
            assert spoken - before <= 1  # at most the one that had begun
        assert spoken > 0
    finally:
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)
        await tts.close()
