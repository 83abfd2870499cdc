"""Key presses in RTP: one event a press, whatever the network does to its packets."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.voice.rtp.dtmf import DtmfReceiver
from apps.voice.rtp.packet import RtpPacket

KEYS = "0123456789*#"


def press(key, at, sequence=0, length=5, ends=3):
    """The packets of one press of 20 ms steps that begins at timestamp `at`, as RFC 4733 sends."""
    event = KEYS.index(key)
    packets = []
    for i in range(length + ends):
        ended = i >= length
        duration = 160 * min(i + 1, length)
        payload = struct.pack("!BBH", event, (0x80 if ended else 0) | 10, duration)
        packets.append(RtpPacket(101, sequence + i, at & 0xFFFFFFFF, 1, payload, i == 0))
    return packets


def pressed(packets, clock_hz=8000):
    receiver = DtmfReceiver()
    return "".join(receiver.push(packet, clock_hz) for packet in packets)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_told_once(key):
    assert pressed(press(key, 1000)) == key


def test_keys_come_in_the_order_in_which_they_were_pressed():
    packets = [p for i, key in enumerate("1139#") for p in press(key, 0xFFFFF000 + i * 3200)]
    assert pressed(packets) == "1139#"


@given(st.integers(0, 2**32), st.floats(0, 0.6))
def test_lost_repeated_and_reordered_packets_make_no_other_keys(seed, loss):
    network = random.Random(seed)
    keys = [network.choice(KEYS) for _ in range(6)]
    arriving = []
    for i, key in enumerate(keys):
        packets = press(key, i * 4000)
        kept = [p for p in packets if network.random() > loss] or packets[-1:]
        kept += [network.choice(kept) for _ in range(network.randrange(3))]
        network.shuffle(kept)
        arriving += kept
    assert pressed(arriving) == "".join(keys)


def test_packets_of_an_earlier_press_that_come_late_are_passed_over():
    first, second = press("1", 0), press("2", 4000)
    assert pressed([*first[:4], *second, *first[4:], *second[-2:]]) == "12"


def test_a_press_whose_ends_are_all_lost_does_not_swallow_the_same_key_again():
    assert pressed([*press("5", 0)[:5], *press("5", 2400)]) == "55"


def test_a_press_longer_than_a_duration_can_say_is_one_press():
    long = [RtpPacket(101, 1, 100, 1, struct.pack("!BBH", 1, 10, 0xFFFF), True)]
    goes_on = RtpPacket(101, 2, 100 + 0xFFFF, 1, struct.pack("!BBH", 1, 10, 160))
    assert pressed([*long, goes_on]) == "1"


def test_a_gateway_that_moves_the_timestamp_with_every_packet_presses_once():
    packets = [
        RtpPacket(101, i, 160 * i, 1, struct.pack("!BBH", 7, 10, 160 * (i + 1)), i == 0)
        for i in range(6)
    ]
    assert pressed(packets) == "7"


def test_what_is_no_key_of_a_telephone_is_passed_over():
    flash = RtpPacket(101, 1, 1, 1, struct.pack("!BBH", 16, 10, 160))
    letter = RtpPacket(101, 2, 9000, 1, struct.pack("!BBH", 12, 10, 160))
    assert pressed([flash, letter, *press("3", 20_000)]) == "3"


@given(st.lists(st.tuples(st.binary(max_size=8), st.integers(0, 2**32 - 1)), max_size=20))
def test_any_payload_is_a_key_or_nothing(payloads):
    packets = [RtpPacket(101, i, at, 1, data) for i, (data, at) in enumerate(payloads)]
    assert set(pressed(packets)) <= set(KEYS)
