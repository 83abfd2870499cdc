"""Symmetric RTP: audio goes where the peer's comes from, and no stranger can turn it to himself."""

import pytest

from apps.voice.rtp.latch import SILENT_MS, Latch
from apps.voice.rtp.packet import RtpPacket

DESCRIBED = ("192.168.1.20", 4000)
PUBLIC = ("203.0.113.7", 61_000)
MOVED = ("203.0.113.7", 61_999)
STRANGER = ("198.51.100.66", 5000)


def packet(sequence=1, ssrc=7):
    return RtpPacket(0, sequence & 0xFFFF, 160 * sequence, ssrc, b"\xff" * 160)


def behind_nat(**options):
    """A peer that describes a private address and signals from a public one."""
    return Latch(DESCRIBED, frozenset({PUBLIC[0]}), **options)


def talk(latch, source, first=1, count=10, ssrc=7, at_ms=0.0):
    """Send packets in a row; returns how many were taken."""
    packets = [packet(first + i, ssrc) for i in range(count)]
    return sum(latch.admits(source, each, at_ms + 20 * i) for i, each in enumerate(packets))


def test_before_anything_came_audio_goes_where_the_description_says():
    assert behind_nat().target == DESCRIBED


def test_the_described_address_is_right_at_its_first_packet():
    latch = behind_nat()
    assert talk(latch, DESCRIBED) == 10
    assert latch.target == DESCRIBED


def test_behind_nat_the_second_packet_from_the_signallings_host_shows_the_way():
    latch = behind_nat()
    assert talk(latch, PUBLIC) == 9
    assert latch.target == PUBLIC


def test_one_lost_packet_does_not_keep_a_peer_out():
    latch = behind_nat()
    assert not latch.admits(PUBLIC, packet(0xFFFF), 0)
    assert latch.admits(PUBLIC, packet(2), 60)


def test_a_stranger_is_never_taken():
    latch = behind_nat()
    assert talk(latch, STRANGER, count=100) == 0
    assert not latch.plausible(STRANGER)
    assert latch.target == DESCRIBED


def test_a_stranger_who_was_there_first_is_put_out_by_the_described_address():
    latch = behind_nat(any_source=True)
    assert talk(latch, STRANGER, count=20) == 16
    assert talk(latch, DESCRIBED, ssrc=8) == 10
    assert latch.target == DESCRIBED
    assert talk(latch, STRANGER, first=30) == 0


@pytest.mark.parametrize("source", [STRANGER, MOVED])
def test_once_taken_a_source_keeps_the_call_from_others(source):
    latch = behind_nat(any_source=True)
    talk(latch, PUBLIC)
    assert talk(latch, source, first=11, at_ms=200) == 0
    assert talk(latch, source, first=500, ssrc=9, at_ms=200 + 5 * SILENT_MS) == 0
    assert latch.target == PUBLIC


def test_a_silent_peer_whose_nat_moved_it_is_followed_when_its_stream_goes_on():
    latch = behind_nat()
    talk(latch, PUBLIC)
    assert talk(latch, MOVED, first=70, at_ms=200 + SILENT_MS) == 9
    assert latch.target == MOVED


def test_a_stranger_who_does_not_know_the_numbers_gets_no_silent_call():
    latch = behind_nat(any_source=True)
    talk(latch, PUBLIC)
    later_ms = 200 + SILENT_MS
    assert talk(latch, MOVED, first=40_000, at_ms=later_ms) == 0
    assert talk(latch, MOVED, first=11, ssrc=8, at_ms=later_ms) == 0
    assert talk(latch, STRANGER, first=11, at_ms=later_ms) == 0


def test_signed_packets_are_followed_at_once_and_from_anywhere():
    latch = behind_nat(signed=True)
    assert talk(latch, PUBLIC) == 10
    assert talk(latch, STRANGER, first=11, at_ms=200) == 10
    assert latch.target == STRANGER


def test_a_signed_packet_that_was_overtaken_does_not_turn_the_call_back():
    latch = behind_nat(signed=True)
    talk(latch, PUBLIC)
    talk(latch, MOVED, first=20, count=5)
    assert not latch.admits(PUBLIC, packet(11), 500)
    assert latch.target == MOVED


def test_a_sprinkle_of_packets_from_a_known_host_is_not_a_stream():
    latch = behind_nat()
    taken = [latch.admits(PUBLIC, packet(n * 1000, ssrc=n % 2), n) for n in range(60)]
    assert not any(taken)
