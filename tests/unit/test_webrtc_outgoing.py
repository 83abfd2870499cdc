"""Speech leaves for a WebRTC peer every 20 ms, and silence between sentences does too."""

from __future__ import annotations

import asyncio

import av
import numpy as np

from apps.core.audio import pcm_to_samples
from apps.voice.doors.webrtc.outgoing import (
    FRAME_TICKS,
    MAX_CATCH_UP_MS,
    MAX_QUEUED_FRAMES,
    SILENCE,
    Leaving,
    Schedule,
    SpeechTrack,
)
from apps.voice.rtp.opus import OpusDecoder
from tests.calls import VOICE
from tests.virtual_time import run_virtual

ONE, TWO, THREE = (bytes([n]) * 640 for n in (1, 2, 3))


def run(schedule: Schedule, until_ms: float, now_ms: float = 0.0) -> list[tuple[float, Leaving]]:
    """Return everything that leaves before a time, and when."""
    out = []
    while (now_ms := now_ms + schedule.wait_ms(now_ms)) < until_ms:
        out.append((now_ms, schedule.leave(now_ms)))
    return out


def test_frames_that_come_ahead_of_time_leave_when_they_are_due() -> None:
    schedule = Schedule()
    for frame in (ONE, TWO, THREE):
        schedule.push(frame)
    assert schedule.queued_ms == 60.0
    assert run(schedule, 60.0) == [
        (0.0, Leaving(ONE, 0)),
        (20.0, Leaving(TWO, FRAME_TICKS)),
        (40.0, Leaving(THREE, 2 * FRAME_TICKS)),
    ]


def test_silence_keeps_the_peer_s_clock_going() -> None:
    assert run(Schedule(), 40.0, now_ms=5.0) == [
        (5.0, Leaving(SILENCE, 0)),
        (25.0, Leaving(SILENCE, FRAME_TICKS)),
    ]


def test_what_is_flushed_never_leaves() -> None:
    schedule = Schedule()
    for frame in (ONE, TWO, THREE):
        schedule.push(frame)
    schedule.leave(0.0)
    schedule.flush()
    assert schedule.leave(20.0) == Leaving(SILENCE, FRAME_TICKS)


def test_a_short_stall_is_caught_up_with() -> None:
    schedule = Schedule()
    schedule.leave(0.0)
    left = run(schedule, 151.0, now_ms=100.0)
    assert [at for at, _ in left] == [100.0, 100.0, 100.0, 100.0, 100.0, 120.0, 140.0]
    assert [x.timestamp // FRAME_TICKS for _, x in left] == [1, 2, 3, 4, 5, 6, 7]


def test_after_a_long_stall_time_is_skipped_and_no_speech_is_lost() -> None:
    schedule = Schedule()
    schedule.leave(0.0)
    schedule.push(ONE)
    stall_ms = MAX_CATCH_UP_MS + 25.0
    assert schedule.leave(stall_ms) == Leaving(ONE, 11 * FRAME_TICKS)
    assert schedule.wait_ms(stall_ms) == 15.0


def test_what_waits_is_bounded() -> None:
    schedule = Schedule()
    for _ in range(2 * MAX_QUEUED_FRAMES):
        schedule.push(ONE)
    assert schedule.queued_ms == MAX_QUEUED_FRAMES * 20.0


def test_the_track_gives_out_opus_at_its_level_and_on_time() -> None:
    async def scenario() -> list[tuple[float, av.Packet]]:
        track, out = SpeechTrack(), []
        for _ in range(10):
            track.play(VOICE)
        for _ in range(10):
            packet = await track.recv()
            out.append((asyncio.get_running_loop().time(), packet))
        track.flush()
        return out

    out = run_virtual(scenario())
    assert [round(at * 1000) for at, _ in out] == [20 * n for n in range(10)]
    assert [packet.pts for _, packet in out] == [960 * n for n in range(10)]
    decoder = OpusDecoder()
    heard = pcm_to_samples(b"".join(decoder.decode(bytes(packet)) for _, packet in out))
    sent = pcm_to_samples(VOICE).astype(float)
    loudness = np.sqrt(np.mean(heard[640:].astype(float) ** 2) / np.mean(sent**2))
    assert 0.9 < loudness < 1.1
