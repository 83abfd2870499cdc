"""The receiving side of RTP without sockets: order, holes, key presses, hold, and hostile peers."""

import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, level_dbfs, pcm_to_samples
from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerAudio, CallerDigit
from apps.voice.rtp.codecs import SILENCE, codec_named
from apps.voice.rtp.latch import Latch
from apps.voice.rtp.packet import RtpPacket, build_rtp, read_rtp
from apps.voice.rtp.receiver import Counts, Receiver
from apps.voice.rtp.sender import Numbers, Sender
from apps.voice.rtp.srtp import Crypto, Srtp
from benchmarks.network.rtp_path import BAD_FOR_10_S, PEER, Stretch, agreed_on, carry
from benchmarks.network.trouble import BAD, GOOD, Network

TONE = (np.sin(2 * np.pi * 200 * np.arange(16_000 * 20) / 16_000) * 8000).astype("<i2").tobytes()


def tone(frames):
    return [TONE[i * FRAME_BYTES : (i + 1) * FRAME_BYTES] for i in range(frames)]


def receiver(codec="PCMU", srtp=None, **changes):
    agreed = replace(agreed_on(codec), **changes)
    return Receiver(agreed, codec_named(codec), Latch(PEER, frozenset()), srtp, Counts())


def sender(codec="PCMU", **numbers):
    start = {"ssrc": 7, "sequence": 10, "timestamp": 1000} | numbers
    return Sender(codec_named(codec), agreed_on(codec).codec.payload_type, Numbers(**start))


def heard(events):
    return b"".join(event.pcm for event in events if isinstance(event, CallerAudio))


def feed(receiving, packets, at_ms=0.0):
    """Hand over packets 20 ms apart; returns all events."""
    return [
        event
        for i, packet in enumerate(packets)
        for event in receiving.packet(packet, PEER, at_ms + 20 * i)
    ]


def test_what_is_in_order_is_handed_on_at_once():
    receiving, sending = receiver(), sender()
    for i, frame in enumerate(tone(20)):
        events = receiving.packet(sending.frame(frame), PEER, 20.0 * i)
        assert len(heard(events)) == FRAME_BYTES


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722", "OPUS"])
def test_on_the_bad_network_the_added_delay_is_small_and_goes_away(codec):
    arrival = carry(TONE[: FRAME_BYTES * 50 * 19], codec, BAD_FOR_10_S, seed=4)
    before = arrival.behind_ms(1000, 5000)
    assert arrival.behind_ms(6000, 15_000) - before <= 70
    assert arrival.behind_ms(17_500, 18_000) - before <= 20
    assert arrival.dropped <= arrival.lost <= arrival.dropped + 0.03 * 500
    assert arrival.dropped > 10


def test_all_time_is_there_although_packets_are_not():
    arrival = carry(
        TONE[: FRAME_BYTES * 500], "PCMU", (Stretch(0, BAD), Stretch(9000, GOOD)), seed=2
    )
    assert len(arrival.pcm) == 500 * FRAME_BYTES


def test_a_network_that_only_delays_and_reorders_loses_next_to_nothing():
    arrival = carry(
        TONE[: FRAME_BYTES * 500], "PCMU", (Stretch(0, Network(jitter_sd_ms=20)),), seed=3
    )
    assert arrival.dropped == 0
    assert arrival.lost <= 0.01 * arrival.sent


def test_a_lost_packet_is_concealed_by_what_was_before_it():
    receiving, sending = receiver(), sender()
    packets = [sending.frame(frame) for frame in tone(30)]
    events = feed(receiving, packets[:15]) + feed(receiving, packets[16:], at_ms=320)
    pcm = heard(events)
    assert len(pcm) == 30 * FRAME_BYTES
    hole = pcm[15 * FRAME_BYTES : 16 * FRAME_BYTES]
    assert level_dbfs(hole) == pytest.approx(level_dbfs(pcm[: 15 * FRAME_BYTES]), abs=4)


def test_packets_that_hold_nothing_of_the_codec_are_concealed():
    receiving, sending = receiver("OPUS"), sender("OPUS")
    packets = [sending.frame(frame) for frame in tone(10)]
    broken = read_rtp(packets[5])
    packets[5] = build_rtp(replace(broken, payload=b"\x98" + b"\xff" * 1300))
    assert len(heard(feed(receiving, packets))) == 10 * FRAME_BYTES


def key_press(sequence, timestamp, event=5, ssrc=7, steps=8):
    """The packets of a key that is held for 100 ms, beginning at a sequence number."""
    for i in range(steps):
        payload = struct.pack("!BBH", event, 0x8A if i >= 5 else 10, 160 * min(i + 1, 5))
        yield build_rtp(RtpPacket(101, sequence + i, timestamp, ssrc, payload, i == 0))


def test_a_key_press_is_told_once_and_its_time_is_silence_in_the_audio():
    receiving, sending = receiver(), sender()
    before = [sending.frame(frame) for frame in tone(25)]
    press = list(key_press(sending.numbers.sequence, sending.numbers.timestamp))
    sending.numbers.sequence += len(press)
    for _ in press:
        sending.skip()
    after = [sending.frame(frame) for frame in tone(25)]
    events = feed(receiving, before + press + after)
    assert [e.digit for e in events if isinstance(e, CallerDigit)] == ["5"]
    assert len(heard(events)) == (25 + len(press) + 25) * FRAME_BYTES
    assert receiving.lost == 0
    assert receiving.wait_ms < 25


def test_key_presses_may_come_as_a_stream_of_their_own():
    receiving, sending = receiver(), sender()
    packets = [sending.frame(frame) for frame in tone(10)]
    events = feed(receiving, packets[:5])
    events += feed(receiving, key_press(1, 99, event=11, ssrc=12345), 100)
    events += feed(receiving, packets[5:], 100)
    assert [e.digit for e in events if isinstance(e, CallerDigit)] == ["#"]
    assert len(heard(events)) == 10 * FRAME_BYTES
    assert receiving.lost == 0


def test_a_peer_that_begins_a_new_stream_is_followed_from_its_second_packet():
    receiving = receiver()
    sending = sender()
    feed(receiving, [sending.frame(frame) for frame in tone(20)])
    other = sender(ssrc=8, sequence=5000, timestamp=77)
    events = feed(receiving, [other.frame(frame) for frame in tone(10)], at_ms=400)
    assert len(heard(events)) == 9 * FRAME_BYTES


def test_one_packet_of_another_stream_changes_nothing():
    receiving, sending = receiver(), sender()
    packets = [sending.frame(frame) for frame in tone(20)]
    alien = build_rtp(RtpPacket(0, 1, 1, 666, b"\x12" * 160))
    events = feed(receiving, packets[:10])
    assert heard(receiving.packet(alien, PEER, 190)) == b""
    events += feed(receiving, packets[10:], at_ms=200)
    assert len(heard(events)) == 20 * FRAME_BYTES


def test_a_peer_that_falls_silent_is_heard_as_silence_in_real_time():
    receiving, sending = receiver(), sender()
    feed(receiving, [sending.frame(frame) for frame in tone(20)])
    silence = b""
    for ms in range(400, 2400, 20):
        silence += heard(receiving.due(ms))
    assert len(silence) / FRAME_BYTES == pytest.approx(100, abs=5)
    assert level_dbfs(silence[10 * FRAME_BYTES :]) == -100


@pytest.mark.parametrize(("sends", "hears"), [(False, True), (True, False)])
def test_on_hold_music_is_heard_as_silence(sends, hears):
    receiving, sending = receiver(sends=sends, hears=hears), sender()
    pcm = heard(feed(receiving, [sending.frame(frame) for frame in tone(10)]))
    assert pcm == bytes(10 * FRAME_BYTES)


@pytest.mark.parametrize(
    ("data", "source", "code"),
    [
        (build_rtp(RtpPacket(0, 1, 1, 1, b"x" * 160)), ("198.51.100.1", 9), "not_the_peer"),
        (b"\x80hello", PEER, "bad_rtp"),
        (build_rtp(RtpPacket(18, 1, 1, 1, b"x" * 20)), PEER, "unknown_payload"),
        (build_rtp(RtpPacket(0, 1, 1, 1, b"")), PEER, "bad_frame"),
        (build_rtp(RtpPacket(0, 1, 1, 1, b"x" * 1400)), PEER, "bad_frame"),
    ],
)
def test_what_is_not_the_peers_audio_is_refused(data, source, code):
    with pytest.raises(ProtocolError) as caught:
        receiver().packet(data, source, 0.0)
    assert caught.value.code == code


def test_a_flood_is_stopped_before_it_is_decoded():
    receiving, sending = receiver(), sender()
    taken = 0
    for i in range(5000):
        try:
            receiving.packet(sending.frame(SILENCE), PEER, i * 0.1)
        except ProtocolError as error:
            assert error.code == "too_fast"  # noqa: PT017 - the others were taken
        else:
            taken += 1
    assert taken < 400


def test_audio_faster_than_time_is_dropped():
    receiving = receiver()
    long = [build_rtp(RtpPacket(0, i, 960 * i, 7, b"\x11" * 960)) for i in range(200)]
    pcm = b"".join(heard(receiving.packet(packet, PEER, 10.0 * i)) for i, packet in enumerate(long))
    assert len(pcm) / FRAME_BYTES * 20 < 2000 + 2500


KEYS = [Crypto(1, "AES_CM_128_HMAC_SHA1_80", bytes([n] * 30)) for n in (1, 2)]


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"])
def test_encrypted_audio_comes_through_and_forged_or_repeated_packets_do_not(suite):
    ours, theirs = (replace(key, suite=suite) for key in KEYS)
    receiving, sending, peer = receiver(srtp=Srtp(ours, theirs)), sender(), Srtp(theirs, ours)
    plain = [sending.frame(frame) for frame in tone(10)]
    packets = [peer.protect(packet) for packet in plain]
    assert all(packet[12:-10] not in clear for packet, clear in zip(packets, plain, strict=True))
    assert len(heard(feed(receiving, packets))) == 10 * FRAME_BYTES
    forged = packets[0][:20] + b"!" + packets[0][21:]
    for bad in (forged, packets[3], plain[0], b"\x80" + bytes(11)):
        with pytest.raises(ProtocolError) as caught:
            receiving.packet(bad, PEER, 300.0)
        assert caught.value.code in ("srtp", "bad_rtp")


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(["PCMU", "G722", "OPUS"]), st.booleans())
def test_hostile_packets_are_refused_and_the_call_goes_on(seed, codec, encrypted):
    dice = random.Random(seed)
    srtp = Srtp(*KEYS) if encrypted else None
    peer = Srtp(KEYS[1], KEYS[0]) if encrypted else None
    receiving, sending = receiver(codec, srtp), sender(codec)
    packets = [sending.frame(frame) for frame in tone(30)]
    for i, packet in enumerate(packets):
        data = bytearray(packet if peer is None else peer.protect(packet))
        for _ in range(dice.randrange(4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        junk = dice.randbytes(dice.randrange(1600))
        for each in (bytes(data[: dice.randrange(len(data) + 1)]), bytes(data), junk):
            try:
                events = receiving.packet(each, PEER, 20.0 * i)
            except ProtocolError:
                continue
            assert len(heard(events)) <= 2 * 32_000
    receiving.due(10_000.0)


def test_a_turn_of_the_numbers_is_no_gap():
    receiving, sending = receiver(), sender(sequence=65_530, timestamp=2**32 - 500)
    pcm = heard(feed(receiving, [sending.frame(frame) for frame in tone(20)]))
    samples = pcm_to_samples(pcm)[1600:]
    assert len(pcm) == 20 * FRAME_BYTES
    assert np.abs(np.diff(samples.astype(int))).max() < 1000


def test_speech_behind_silence_is_marked():
    sending = sender()
    frames = [None, *tone(2), None, *tone(1)]
    packets = [read_rtp(sending.frame(frame)) for frame in frames]
    assert [packet.marker for packet in packets] == [False, True, False, False, True]
    assert [packet.sequence for packet in packets] == [10, 11, 12, 13, 14]
    assert [packet.timestamp for packet in packets] == [1000 + 160 * i for i in range(5)]


def test_a_key_that_stays_goes_on_when_the_other_is_changed():
    changed = replace(KEYS[1], key=bytes([3] * 30))
    here = Srtp(KEYS[0], KEYS[1])
    there = Srtp(KEYS[1], KEYS[0])
    sending = sender(sequence=65_500)
    for packet in map(sending.frame, tone(60)):
        assert there.unprotect(here.protect(packet)) == packet
    again = Srtp(KEYS[0], changed, here)
    packet = sending.frame(None)
    assert there.unprotect(again.protect(packet)) == packet
    with pytest.raises(ProtocolError):
        again.unprotect(there.protect(sending.frame(None)))
