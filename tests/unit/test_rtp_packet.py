"""RTP and RTCP packets: what is read, what is built, and that nothing sent by anybody does harm."""

import os
import random
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.voice.rtp.packet import (
    MAX_PACKET_BYTES,
    RtpPacket,
    build_rtp,
    is_rtcp,
    read_rtp,
    sequence_distance,
    timestamp_distance,
)
from apps.voice.rtp.reports import INTERVAL_MS, Reports
from apps.voice.rtp.rtcp import (
    Bye,
    Reception,
    Report,
    ReportBlock,
    Sent,
    build_bye,
    build_report,
    ntp_middle,
    read_rtcp,
)
from apps.voice.rtp.sender import Numbers

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
PACKETS = st.builds(
    RtpPacket, st.integers(0, 127), U16, U32, U32, st.binary(max_size=400), st.booleans()
)


@given(PACKETS)
def test_a_packet_reads_as_it_was_built(packet):
    assert read_rtp(build_rtp(packet)) == packet


@given(PACKETS, st.integers(0, 15), st.binary(max_size=40), st.integers(0, 255))
def test_csrcs_an_extension_and_padding_are_skipped(packet, csrcs, extension, padding):
    extension = extension[: len(extension) // 4 * 4]
    first = 0x80 | csrcs | 0x10 | (0x20 if padding else 0)
    plain = build_rtp(packet)
    data = bytes([first]) + plain[1:12] + os.urandom(4 * csrcs)
    data += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension + packet.payload
    if padding:
        data += bytes(padding - 1) + bytes([padding])
    assert read_rtp(data) == packet


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_a_protocol_error(data):
    for read in (read_rtp, read_rtcp):
        with suppress(ProtocolError):
            read(data)


@given(PACKETS, st.integers(0, 2**32))
def test_a_damaged_packet_is_a_packet_or_a_protocol_error(packet, seed):
    damage = random.Random(seed)
    data = bytearray(build_rtp(packet))
    for _ in range(damage.randrange(1, 5)):
        data[damage.randrange(len(data))] = damage.randrange(256)
    try:
        read = read_rtp(bytes(data[: damage.randrange(len(data) + 1)]))
    except ProtocolError:
        return
    assert len(read.payload) <= len(packet.payload)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(11),
        b"\x8f" + bytes(20),
        b"\x90" + bytes(11),
        b"\x90" + bytes(11) + b"\0\0\xff\xff" + bytes(8),
        b"\xa0" + bytes(11),
        b"\xa0" + bytes(11) + b"\x02",
        bytes([0x80]) + bytes(MAX_PACKET_BYTES),
    ],
)
def test_lengths_that_cannot_be_are_refused(data):
    with pytest.raises(ProtocolError) as caught:
        read_rtp(data)
    assert caught.value.code == "bad_rtp"


def test_distances_turn_with_their_numbers():
    assert sequence_distance(2, 0xFFFF) == 3
    assert sequence_distance(0xFFFF, 2) == -3
    assert timestamp_distance(160, 0xFFFFFFFF) == 161
    assert timestamp_distance(0, 160) == -160


def test_rtcp_is_told_from_rtp_on_a_shared_port():
    assert is_rtcp(build_bye(1, "tom"))
    assert not is_rtcp(build_rtp(RtpPacket(101, 1, 1, 1, b"x", marker=True)))
    assert not is_rtcp(b"\x80")


BLOCKS = st.builds(
    ReportBlock,
    U32,
    st.integers(0, 255).map(lambda n: n / 256),
    st.integers(-0x800000, 0x7FFFFF),
    U32,
    U32,
    U32,
    U32,
)


@given(U32, st.one_of(st.none(), BLOCKS), st.booleans(), st.text(max_size=30))
def test_a_report_reads_as_it_was_built(ssrc, block, sender, name):
    sent = Sent(1_700_000_000.5, 7, 8, 9) if sender else None
    data = build_report(ssrc, name, sent, block)
    ntp = ntp_middle(1_700_000_000.5) if sender else 0
    assert len(data) % 4 == 0
    assert read_rtcp(data) == [Report(ssrc, ntp, (block,) if block else ())]


def test_goodbye_reads_as_it_was_built():
    assert read_rtcp(build_bye(77, "tom"))[-1] == Bye(77)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xc9\x00\x01" + bytes(4),  # a report that holds less than it says
        b"\x80\xc9\x00\x09" + bytes(4),  # a length past the end
        b"\x80\xc9\x00\x01" + bytes(4) + b"\x80",  # a rest
        b"\x00\xc9\x00\x01" + bytes(4),
    ],
)
def test_rtcp_that_cannot_be_is_refused(data):
    with pytest.raises(ProtocolError):
        read_rtcp(data)


def packet(sequence, timestamp=0, ssrc=1):
    return RtpPacket(0, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, b"\xff" * 160)


def test_reception_counts_losses_over_the_turn_of_the_numbers():
    reception = Reception(packet(65_530), 8000)
    for i in range(20):
        if i % 5 != 4:
            reception.observe(packet(65_530 + i, 160 * i), 20.0 * i)
    block = reception.block()
    assert (block.lost, block.highest) == (3, 65_548)  # the last lost one is not known of yet
    assert block.fraction_lost == pytest.approx(3 / 19)
    assert reception.block().fraction_lost == 0.0


def test_jitter_is_that_of_arrival_against_timestamps():
    steady, shaken = Reception(packet(0), 8000), Reception(packet(0), 8000)
    for i in range(200):
        steady.observe(packet(i, 160 * i), 20.0 * i + 700)
        shaken.observe(packet(i, 160 * i), 20.0 * i + (10 if i % 2 else 0))
    assert steady.jitter_ms == pytest.approx(0, abs=1e-6)
    assert shaken.jitter_ms == pytest.approx(10, rel=0.01)


def test_reports_measure_the_round_trip_and_the_loss_at_the_other_end():
    ours, theirs = Reports(Numbers(1, 0, 0, packets=5)), Reports(Numbers(2, 0, 0, packets=5))
    received = Reception(packet(0, ssrc=1), 8000)
    for sequence in (0, 1, 2, 4):
        received.observe(packet(sequence), 0.0)
    theirs.take(ours.build(1000.0, None), 1000.04)
    ours.take(theirs.build(1003.04, received), 1003.08)
    assert ours.round_trip_ms == pytest.approx(80, abs=0.1)
    assert ours.remote_loss == pytest.approx(1 / 5, abs=1 / 256)


def test_a_report_that_cannot_be_true_measures_nothing():
    ours, theirs = Reports(Numbers(1, 0, 0, packets=5)), Reports(Numbers(2, 0, 0))
    theirs.take(ours.build(2000.0, None), 1000.0)
    ours.take(theirs.build(1000.0, Reception(packet(0, ssrc=1), 8000)), 1990.0)
    assert ours.round_trip_ms is None


def test_reports_are_due_every_few_seconds_and_not_at_once():
    reports = Reports(Numbers(1, 0, 0))
    due = [ms for ms in range(100, 20_000, 20) if reports.due(ms)]
    assert due == [100 + INTERVAL_MS, 100 + 2 * INTERVAL_MS, 100 + 3 * INTERVAL_MS]
