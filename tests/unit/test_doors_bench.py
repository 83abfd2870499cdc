"""The doors' benchmark: what it counts as late, how it finds a tone again, and what it prints."""

import numpy as np
import pytest

from benchmarks.doors.added import AMPLITUDE, TONE_MS, Caller, Ear, figures, tone, trips
from benchmarks.doors.ends import DOORS
from benchmarks.doors.load import Voice, spurts
from benchmarks.doors.table import added_table, held, load_table, verdicts
from benchmarks.doors.webrtc_wire import payload_of
from benchmarks.pipecat.lines import RATE_HZ, build_line
from benchmarks.pipecat.measure import Heard, lateness_ms
from benchmarks.pipecat.table import together

QUIET = np.zeros(160, np.int16)


def packet(at_ms, audible=True):
    return Heard(at_ms, at_ms, at_ms + 20.0, audible, answer=7)


# --- lateness of doors that send silence as well


def test_a_stream_s_schedule_begins_with_the_first_audible_packet_of_each_answer():
    first = [packet(n * 20.0) for n in range(5)]
    silence = [packet(100.0 + n * 20.0, audible=False) for n in range(30)]
    second = [packet(713.0), packet(738.0), packet(753.0)]
    found = spurts(first + silence + second)
    assert [message.answer for message in found] == [1] * 5 + [2] * 3
    assert lateness_ms(found) == [0.0] * 6 + [5.0, 0.0]


def test_a_packet_that_is_late_within_an_answer_begins_no_new_one():
    found = spurts([packet(0.0), packet(20.0), packet(190.0), packet(195.0)])
    assert lateness_ms(found) == [0.0, 0.0, 150.0, 135.0]


# --- tones


def ear_of(samples, arrivals_ms, rate_hz=8000):
    ear = Ear(rate_hz)
    for at_ms, frame in zip(arrivals_ms, samples.reshape(-1, rate_hz // 50), strict=True):
        ear.heard(at_ms, frame)
    return ear


@pytest.mark.parametrize("offset", [0, 1, 37, 159])
def test_the_beginning_of_a_tone_is_found_within_its_packet(offset):
    sound = tone(offset, 8000)
    whole = np.pad(sound, (0, -len(sound) % 160))
    ear = ear_of(whole, [500.0 + n * 20.0 for n in range(len(whole) // 160)])
    assert ear.onsets_ms == [pytest.approx(500.0 + offset / 8)]
    assert np.abs(sound).max() == AMPLITUDE
    assert len(sound) - offset == TONE_MS * 8


def test_a_hole_within_a_tone_is_no_second_one_but_the_next_tone_is():
    loud = tone(0, 8000)[:160]
    samples = np.concatenate([loud, QUIET, loud, *[QUIET] * 20, loud])
    ear = ear_of(samples, [n * 20.0 for n in range(24)])
    assert ear.onsets_ms == [0.0, pytest.approx(460.0)]


def test_what_does_not_come_back_in_time_is_lost():
    found = trips([0.0, 700.0, 1400.0], [31.0, 1455.0, 2300.0])
    assert [trip.took_ms for trip in found] == [31.0, None, 55.0]


def test_tones_count_where_they_were_sent():
    caller = Caller(DOORS["sip"](0, None), 0, 0.0)
    caller.sent_ms = [100.0, 900.0, 1700.0, 5000.0]
    caller.ear.onsets_ms = [140.0, 1100.0, 1790.0, 5042.0]
    told = figures([caller], {"good": 0.0, "bad": 800.0, "after": 1500.0, "end": 6000.0})
    medians = [told[key]["p50_ms"] for key in ("good", "bad", "just_after", "after")]
    assert medians == [40.0, 200.0, 90.0, 42.0]


# --- what callers send


@pytest.mark.parametrize("door", DOORS)
def test_a_caller_of_any_door_sends_20_ms_a_payload(door):
    rng = np.random.default_rng(5)
    line = build_line("q", False, ("aa bb",), (rng.integers(-9000, 9000, RATE_HZ, np.int16),))
    voice = Voice.of([line], DOORS[door](0, None))
    assert len(voice.lines["q"]) == 50
    assert voice.silence not in voice.lines["q"]


@pytest.mark.parametrize("extension", [b"", b"\xbe\xde\x00\x02" + bytes(8)])
@pytest.mark.parametrize("sources", [0, 2])
def test_what_a_packet_carries_is_found_behind_its_header(extension, sources):
    first = 0x80 | sources | (0x10 if extension else 0)
    header = bytes([first]) + bytes(11) + bytes(4 * sources) + extension
    assert payload_of(header + b"speech") == b"speech"


# --- the tables


def step(calls, late, complete=None):
    run = {
        "calls": calls,
        "complete": calls if complete is None else complete,
        "lines": 3 * calls,
        "cuts": 0,
        "voice_to_voice_ms": [350.0] * 3 * calls,
        "barge_in_stop_ms": [],
        "lateness_ms": {late: 100},
        "cpu_per_call": 0.013,
        "mb_per_call": 0.4,
        "idle_mb": 200.0,
        "sent_late_p99_ms": 1.0,
    }
    return together([run])


def delays(median):
    return {"tones": 20, "lost": 1, "p50_ms": median, "p95_ms": median + 10}


def test_a_door_holds_the_most_calls_that_were_complete_and_in_time():
    assert held([step(20, 3), step(60, 19), step(80, 21)]) == 60
    assert held([step(20, 3), step(60, 3, complete=59)]) == 20
    assert held([step(20, 30)]) == 0


def test_the_tables_name_what_was_missed():
    load = {"sip": [step(20, 3), step(60, 35)], "twilio": [step(20, 3)]}
    table = load_table(load).splitlines()
    assert len({row.count("|") for row in table}) == 1
    assert "| 35: missed |" in table[3]
    assert "| 0.013 |" in table[2]
    assert verdicts(load, {}) == ["MISSED: sip holds 20 calls, the aim is 60."]


def test_a_door_s_delay_is_held_against_its_aim_and_its_own_good_network():
    slow = {"good": delays(40.0), "bad": delays(90.0), "just_after": delays(70.0)}
    added = {
        "sip": slow | {"after": delays(60.1), "client_late_p99_ms": 11.0},
        "websocket": {"good": delays(4.0), "client_late_p99_ms": 2.0},
    }
    rows = added_table(added).splitlines()
    assert (
        "| sip | 40.0 | 50.0 | 45 | 90.0 | 100.0 | 1 of 20 | 70.0 | 60.1 | 11 (too busy) |" in rows
    )
    assert "| websocket | 4.0 | 14.0 | 5 | - | - | - | - | - | 2 |" in rows
    assert verdicts({}, added) == [
        "met: websocket adds 4.0 ms, the aim is 5.",
        "met: sip adds 40.0 ms, the aim is 45.",
        "MISSED: sip 3 s after the bad network: +20.1 ms, the aim is +20.",
    ]
