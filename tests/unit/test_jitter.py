"""RTP packets leave the jitter buffer in order, once, and never later than they must."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.voice.jitter import (
    CLOCK_TOLERANCE_MS,
    MAX_WAIT_MS,
    MIN_WAIT_MS,
    SILENT_AFTER_MS,
    JitterBuffer,
    Lost,
    Packet,
    Pause,
)

TICKS = 160
FRAME = b"\0" * TICKS


@dataclass(frozen=True)
class Came:
    at_ms: float
    number: int


def buffer() -> JitterBuffer:
    return JitterBuffer(8000, len)


def seq(number: int, first: int = 0) -> int:
    return (first + number) & 0xFFFF


def push(jitter: JitterBuffer, number: int, at_ms: float, first: int = 0, base: int = 0) -> None:
    timestamp = (base + number * TICKS) & 0xFFFFFFFF
    jitter.push(seq(number, first), timestamp, FRAME, at_ms)


def started(packets: int = 5) -> JitterBuffer:
    jitter = buffer()
    for number in range(packets):
        push(jitter, number, number * 20.0)
        assert len(jitter.pop(number * 20.0)) == 1
    return jitter


def numbers(out: list[Packet | Lost | Pause]) -> list[int]:
    return [item.seq for item in out if isinstance(item, Packet)]


def run(came: list[Came], first: int = 0, base: int = 0) -> list[tuple[float, object]]:
    """Push packets when they come, pop at every deadline, and return what came out and when."""
    jitter, out = buffer(), []
    for packet in sorted(came, key=lambda c: c.at_ms):
        while (due := jitter.next_deadline_ms()) is not None and due < packet.at_ms:
            popped = jitter.pop(due)
            assert popped, "a deadline must have something to hand on"
            out += [(due, item) for item in popped]
        push(jitter, packet.number, packet.at_ms, first, base)
        out += [(packet.at_ms, item) for item in jitter.pop(packet.at_ms)]
    for _ in range(len(came) * 2):
        due = jitter.next_deadline_ms()
        assert due is not None
        out += [(due, item) for item in jitter.pop(due)]
    return out


def test_packets_in_sequence_are_handed_on_at_once() -> None:
    assert started().statistics.held_ms == 0.0


def test_a_packet_out_of_order_is_put_in_order() -> None:
    jitter = started()
    push(jitter, 6, 120.0)
    assert jitter.pop(120.0) == []
    push(jitter, 5, 125.0)
    assert numbers(jitter.pop(125.0)) == [5, 6]
    assert jitter.statistics.reordered == 1
    assert jitter.statistics.held_ms == 5.0
    assert jitter.statistics.lost == 0


def test_a_missing_packet_counts_as_lost_when_its_wait_is_over() -> None:
    jitter = started()
    push(jitter, 6, 120.0)
    due = jitter.next_deadline_ms()
    assert due == 120.0 + MIN_WAIT_MS
    assert jitter.pop(due - 0.1) == []
    assert jitter.pop(due)[0] == Lost(5 * TICKS, TICKS)
    assert jitter.statistics.lost == 1


def test_packets_lost_in_a_row_are_one_loss_of_their_whole_length() -> None:
    jitter = started()
    push(jitter, 8, 160.0)
    assert jitter.pop(200.0)[0] == Lost(5 * TICKS, 3 * TICKS)
    assert jitter.statistics.lost == 3


def test_a_packet_after_its_time_is_dropped_and_counted_as_late() -> None:
    jitter = started()
    push(jitter, 6, 120.0)
    jitter.pop(160.0)
    push(jitter, 5, 165.0)
    push(jitter, 5, 166.0)
    assert jitter.pop(166.0) == []
    assert (jitter.statistics.late, jitter.statistics.duplicate) == (1, 1)


def test_a_packet_that_comes_twice_is_handed_on_once() -> None:
    jitter = started()
    push(jitter, 4, 85.0)
    push(jitter, 6, 120.0)
    push(jitter, 6, 121.0)
    assert numbers(jitter.pop(200.0)) == [6]
    assert jitter.statistics.duplicate == 2


def test_it_waits_longer_on_a_network_that_is_late_and_forgets_it_again() -> None:
    jitter = started()
    push(jitter, 5, 100.0 + 80.0)
    jitter.pop(180.0)
    late = jitter.statistics.wait_ms
    assert late > 80.0
    for number in range(6, 506):
        push(jitter, number, number * 20.0)
        jitter.pop(number * 20.0)
    assert jitter.statistics.wait_ms == MIN_WAIT_MS


def test_a_sender_that_skips_time_was_silent_and_lost_nothing() -> None:
    jitter = started()
    jitter.push(5, 15 * TICKS, FRAME, 300.0)
    assert jitter.pop(300.0) == [Pause(5 * TICKS, 10 * TICKS), Packet(5, 15 * TICKS, FRAME)]
    assert jitter.statistics.lost == 0


def test_what_was_lost_before_a_silence_is_told_from_the_silence() -> None:
    jitter = started()
    jitter.push(6, 15 * TICKS, FRAME, 300.0)
    lost, pause, _ = jitter.pop(300.0 + MAX_WAIT_MS)
    assert lost == Lost(5 * TICKS, TICKS)
    assert pause == Pause(6 * TICKS, 9 * TICKS)


def test_a_telephone_events_packets_keep_their_place_and_its_length_is_silence() -> None:
    jitter = started()
    for number, at_ms in ((5, 100.0), (6, 120.0), (7, 140.0)):
        jitter.push(number, 5 * TICKS, b"", at_ms)
        assert numbers(jitter.pop(at_ms)) == [number]
    push(jitter, 8, 160.0)
    assert jitter.pop(160.0) == [Pause(5 * TICKS, 3 * TICKS), Packet(8, 8 * TICKS, FRAME)]
    assert jitter.statistics.lost == 0


def test_the_time_of_a_sender_that_says_nothing_goes_on_as_silence() -> None:
    jitter = started()
    due = jitter.next_deadline_ms()
    assert due == 80.0 + SILENT_AFTER_MS
    assert jitter.pop(due - 1.0) == []
    (pause,) = jitter.pop(due)
    assert pause == Pause(5 * TICKS, 14 * TICKS)
    assert jitter.next_deadline_ms() == due + 20.0
    assert jitter.pop(due + 20.0) == [Pause(19 * TICKS, TICKS)]


@settings(max_examples=200)
@given(st.floats(0.0, 1e7))
def test_at_its_deadline_there_is_silence_whatever_the_clock_says(began_ms: float) -> None:
    jitter = buffer()
    push(jitter, 0, began_ms)
    jitter.pop(began_ms)
    for _ in range(20):
        due = jitter.next_deadline_ms()
        assert due is not None
        assert jitter.pop(due)


def test_silence_that_was_filled_in_is_not_handed_on_again() -> None:
    jitter = started()
    jitter.pop(480.0)
    jitter.push(5, 30 * TICKS, FRAME, 600.0)
    pause, packet = jitter.pop(600.0)
    assert pause == Pause(24 * TICKS, 6 * TICKS)
    assert numbers([packet]) == [5]


def test_packets_that_were_only_held_up_come_after_the_silence_none_missing() -> None:
    jitter = started()
    jitter.pop(480.0)
    for number in range(5, 25):
        push(jitter, number, 485.0)
    assert numbers(jitter.pop(485.0)) == list(range(5, 25))


def test_timestamps_that_jump_further_than_time_has_passed_invent_no_audio() -> None:
    jitter = started()
    jitter.push(5, 5 * TICKS + 2**31 - 1, FRAME, 100.0)
    assert jitter.pop(100.0) == [Packet(5, 5 * TICKS + 2**31 - 1, FRAME)]
    jitter.push(6, 17, FRAME, 120.0)
    assert jitter.pop(120.0) == [Packet(6, 17, FRAME)]


def test_a_sender_that_begins_anew_is_followed_from_its_second_packet_on() -> None:
    jitter = started()
    jitter.push(30_000, 999, FRAME, 100.0)
    assert jitter.pop(100.0) == []
    jitter.push(30_001, 999 + TICKS, FRAME, 120.0)
    assert numbers(jitter.pop(120.0)) == [30_000, 30_001]
    assert jitter.statistics.restarts == 1


def test_one_stray_packet_changes_nothing() -> None:
    jitter = started()
    jitter.push(30_000, 999, FRAME, 90.0)
    push(jitter, 5, 100.0)
    jitter.push(30_001, 999 + TICKS, FRAME, 110.0)
    push(jitter, 6, 120.0)
    assert numbers(jitter.pop(120.0)) == [5, 6]


def test_numbers_and_timestamps_go_on_past_their_ends() -> None:
    came = [Came(n * 20.0, n) for n in range(40) if n != 20]
    out = run(came, first=0xFFFF - 19, base=0xFFFFFFFF - 20 * TICKS)
    packets = [item for _, item in out if isinstance(item, Packet)]
    assert [p.seq for p in packets] == [seq(n, 0xFFFF - 19) for n in range(40) if n != 20]
    losses = [item for _, item in out if isinstance(item, Lost)]
    assert losses == [Lost(0xFFFFFFFF, TICKS)]


def test_a_sender_whose_clock_is_quicker_is_not_cut_short_in_a_long_call() -> None:
    jitter, packet_ms = buffer(), 19.98  # a thousandth, ten times what clocks really differ
    for number in range(40_000):
        if number != 39_000:
            push(jitter, number, number * packet_ms)
        popped = jitter.pop(number * packet_ms)
        if number == 39_003:
            assert Lost(39_000 * TICKS, TICKS) in popped


def test_after_a_bad_network_nothing_is_held_any_more() -> None:
    random_ = random.Random(4)
    jitter = buffer()
    came = [
        Came(n * 20.0 + min(120.0, abs(random_.gauss(0, 40))), n)
        for n in range(500)
        if random_.random() > 0.05
    ] + [Came(n * 20.0 + 0.5, n) for n in range(500, 1000)]
    held = 0.0
    for packet in sorted(came, key=lambda c: c.at_ms):
        push(jitter, packet.number, packet.at_ms)
        jitter.pop(packet.at_ms)
        if packet.number == 550:
            held = jitter.statistics.held_ms
    assert jitter.statistics.held_ms == held
    assert jitter.statistics.lost < 60


STREAMS = st.lists(
    st.tuples(st.floats(0, 150, allow_nan=False), st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STREAMS, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_whatever_the_network_does(
    fates: list[tuple[float, bool, bool]], first: int, base: int
) -> None:
    """Never out of order, never twice, never later than the bound, and time adds up."""
    came = [Came(0.0, 0)]
    for number, (delay_ms, lost, twice) in enumerate(fates, 1):
        if not lost:
            came.append(Came(number * 20.0 + delay_ms, number))
        if twice:
            came.append(Came(number * 20.0 + delay_ms / 2, number))
    out = run(came, first, base)
    order = [(item.seq - first) & 0xFFFF for _, item in out if isinstance(item, Packet)]
    assert order == sorted(set(order))
    earliest: dict[int, float] = {}
    for packet in came:
        earliest[packet.number] = min(packet.at_ms, earliest.get(packet.number, packet.at_ms))
    for at_ms, item in out:
        if isinstance(item, Packet):
            waited = at_ms - earliest[(item.seq - first) & 0xFFFF]
            assert waited <= MAX_WAIT_MS + 1e-6


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=300))
        | st.tuples(st.integers(0, 200), st.integers(0, 30_000), st.binary(max_size=300)),
        max_size=80,
    )
)
def test_hostile_packets_are_bounded_in_memory_and_in_the_audio_they_make(
    packets: list[tuple[int, int, bytes]],
) -> None:
    jitter, invented = buffer(), 0
    for n, (number, timestamp, payload) in enumerate(packets):
        jitter.push(number, timestamp, payload, n * 1.0)
        for item in jitter.pop(n * 1.0):
            if not isinstance(item, Packet):
                assert item.duration > 0
                invented += item.duration
        assert len(jitter._held) <= 128
    assert invented / 8 <= 2 * len(packets) + CLOCK_TOLERANCE_MS
