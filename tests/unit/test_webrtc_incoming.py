"""A WebRTC peer's packets become 16 kHz PCM in order, whatever is lost or made up on the way."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, duration_ms, level_dbfs
from apps.voice.doors.webrtc.incoming import MAX_AHEAD_MS, Deadline, OpusStream
from apps.voice.rtp.opus import OpusEncoder
from tests.calls import VOICE
from tests.virtual_time import run_virtual

TICKS = 960


def packets(count: int) -> list[bytes]:
    encoder = OpusEncoder()
    return [encoder.encode(VOICE) for _ in range(count)]


def stream(lost: frozenset[int] = frozenset(), count: int = 50) -> tuple[OpusStream, bytes]:
    incoming, pcm = OpusStream(), b""
    for n, payload in enumerate(packets(count)):
        if n not in lost:
            pcm += incoming.push(n, n * TICKS, payload, n * 20.0)
    return incoming, pcm


def test_what_comes_is_heard_at_once_and_at_its_level() -> None:
    _, pcm = stream()
    assert duration_ms(pcm) == 50 * 20.0
    assert abs(level_dbfs(pcm[8 * FRAME_BYTES :]) - level_dbfs(VOICE)) < 0.5


def test_a_lost_packet_is_concealed_and_costs_no_time() -> None:
    incoming, pcm = stream(frozenset({25}))
    assert incoming.statistics.lost == 1
    assert duration_ms(pcm) == 50 * 20.0
    hole = pcm[25 * FRAME_BYTES : 26 * FRAME_BYTES]
    assert level_dbfs(hole) > level_dbfs(VOICE) - 3.0


def test_a_payload_that_is_no_opus_is_a_hole_like_a_lost_one() -> None:
    incoming, payloads = OpusStream(), packets(20)
    payloads[10] = bytes([payloads[10][0] | 3, 2, 255, 255])  # says that it holds more than it does
    pcm = b"".join(incoming.push(n, n * TICKS, p, n * 20.0) for n, p in enumerate(payloads))
    assert duration_ms(pcm) >= 19 * 20.0


def test_telephone_events_keep_their_place_in_the_stream() -> None:
    incoming, payloads = OpusStream(), packets(3)
    incoming.push(0, 0, payloads[0], 0.0)
    assert incoming.push(1, TICKS, b"", 20.0) == b""
    pcm = incoming.push(2, 2 * TICKS, payloads[1], 40.0)
    assert duration_ms(pcm) == 40.0
    assert incoming.statistics.lost == 0


def test_a_peer_faster_than_real_time_is_not_decoded() -> None:
    incoming, payload = OpusStream(), packets(1)[0]
    heard_ms = sum(duration_ms(incoming.push(n, n * TICKS, payload, 0.0)) for n in range(1000))
    assert heard_ms <= MAX_AHEAD_MS + 20.0
    assert incoming.dropped > 800


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 2**32 - 1), st.binary(max_size=80)),
        max_size=60,
    )
)
def test_whatever_a_peer_sends_makes_whole_samples_and_no_more_than_time_has_passed(
    came: list[tuple[int, int, bytes]],
) -> None:
    incoming, heard_ms = OpusStream(), 0.0
    for n, (seq, timestamp, payload) in enumerate(came):
        pcm = incoming.push(seq, timestamp, payload, n * 20.0)
        assert len(pcm) % 2 == 0
        heard_ms += duration_ms(pcm)
    assert heard_ms <= len(came) * 20.0 + MAX_AHEAD_MS + 500.0 + 120.0


def test_a_deadline_that_moves_is_kept_with_few_timers() -> None:
    async def scenario() -> list[float]:
        loop, called = asyncio.get_running_loop(), []
        due = [100.0]

        def call() -> None:
            called.append(round(loop.time() * 1000))
            due[0] += 300.0

        deadline = Deadline(lambda: due[0], call)
        deadline.moved()
        await asyncio.sleep(0.05)
        due[0] = 180.0  # later: the timer that is set finds it out
        deadline.moved()
        await asyncio.sleep(0.2)
        due[0] = 300.0  # sooner
        deadline.moved()
        await asyncio.sleep(0.1)
        deadline.cancel()
        await asyncio.sleep(1.0)
        return called

    assert run_virtual(scenario()) == [180, 300]


def test_noise_survives_the_way_through() -> None:
    rng = np.random.default_rng(3)
    encoder, incoming, pcm = OpusEncoder(), OpusStream(), b""
    for n in range(50):
        frame = (rng.normal(0, 3000, 320)).astype("<i2").tobytes()
        pcm += incoming.push(n, n * TICKS, encoder.encode(frame), n * 20.0)
    assert abs(level_dbfs(pcm[3200:]) - 20 * np.log10(3000 / 32768)) < 2.0
