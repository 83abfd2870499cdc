"""The Twilio door: what it reads, what it sends, what it refuses, and how far the caller is."""

import asyncio
import base64
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, FRAME_SAMPLES, pcm_to_samples, samples_to_pcm
from apps.core.errors import ProtocolError
from apps.voice.doors import messages
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp, CallRequest
from apps.voice.doors.carriers.marks import MARK_FRAMES
from apps.voice.doors.peer import MAX_ERRORS, refuse
from apps.voice.doors.twilio import TwilioDoor, read_twilio
from apps.voice.g711 import ulaw_decode, ulaw_encode
from tests.scripted_socket import ScriptedSocket
from tests.virtual_time import run_virtual

SILENCE = b"\0" * FRAME_BYTES
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
STOP = {"event": "stop", "sequenceNumber": "9", "stop": {"callSid": "CA1"}, "streamSid": "MZ1"}


def start(sid="MZ1", **fields):
    """A start message as Twilio writes it."""
    body = {
        "accountSid": "AC1",
        "streamSid": sid,
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    }
    return {"event": "start", "sequenceNumber": "1", "start": body | fields, "streamSid": sid}


def media(ulaw=b"\xff" * 160):
    payload = base64.b64encode(ulaw).decode()
    return {
        "event": "media",
        "sequenceNumber": "3",
        "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload},
        "streamSid": "MZ1",
    }


def mark(name):
    return {"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": name}}


def digit(key):
    return {"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": key}}


class Stream(ScriptedSocket):
    """Twilio's end of a media stream."""

    async def send_bytes(self, data):
        raise AssertionError("a media stream carries text alone")

    def of(self, event):
        return [m for m in self.sent if m.get("event") == event]

    @property
    def errors(self):
        return [m["error"]["code"] for m in self.of("error")]


def visit(*script):
    """Run a door over a script; return its events and the stream."""
    stream = Stream(CONNECTED, start(), *script)

    async def scenario():
        door = await TwilioDoor.accept(stream)
        return [event async for event in door.events()]

    return run_virtual(scenario()), stream


async def opened(*script):
    stream = Stream(start(), *script)
    return await TwilioDoor.accept(stream), stream


# --- the caller's side


def test_what_twilio_sends_becomes_events():
    events, stream = visit(media(), digit("4"), digit("#"), mark("0:10"), STOP, media())
    assert events == [
        CallerAudio(SILENCE),
        CallerDigit("4"),
        CallerDigit("#"),
        CallerHungUp(),
    ]
    assert stream.sent == []


def test_the_start_s_parameters_say_whom_the_call_is_for():
    wanted = {"profile": "kfz", "language": "de", "caller": "+4930123", "campaign": "spring"}
    door = run_virtual(TwilioDoor.accept(Stream(CONNECTED, start(customParameters=wanted))))
    assert door.request == CallRequest("kfz", "de", "+4930123")
    assert door.capabilities.audio
    assert not door.capabilities.transfer
    assert not door.capabilities.observe


def test_a_stream_that_closes_without_stop_is_a_hang_up():
    assert visit()[0] == [CallerHungUp()]


def test_the_caller_s_voice_arrives_at_16_khz():
    tone = (8000 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)).astype(np.int16)
    ulaw = ulaw_encode(tone)
    frames = [media(ulaw[i : i + 160]) for i in range(0, 8000, 160)]
    events, _ = visit(*frames)
    heard = pcm_to_samples(b"".join(e.pcm for e in events if isinstance(e, CallerAudio)))
    assert len(heard) == 16_000
    spectrum = np.abs(np.fft.rfft(heard.astype(np.float64)))
    assert spectrum.argmax() == 440


# --- the assistant's side


def test_what_is_played_arrives_as_media_of_the_stream():
    tone = (8000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)).astype(np.int16)

    async def scenario():
        door, stream = await opened()
        for i in range(0, len(tone), FRAME_SAMPLES):
            await door.play(samples_to_pcm(tone[i : i + FRAME_SAMPLES]))
        return stream

    stream = run_virtual(scenario())
    sent = stream.of("media")
    assert {m["streamSid"] for m in sent} == {"MZ1"}
    payloads = [base64.b64decode(m["media"]["payload"]) for m in sent]
    assert {len(p) for p in payloads} == {160}
    played = ulaw_decode(b"".join(payloads)).astype(np.float64)
    assert np.abs(np.fft.rfft(played)).argmax() == 440


async def speak(door, count):
    """Send frames at once, as after a stall."""
    for _ in range(count):
        await door.play(SILENCE)


def names(stream):
    return [m["mark"]["name"] for m in stream.of("mark")]


async def answer(door, stream, *script):
    stream.script = list(script)
    async for _ in door.events():
        pass


def test_what_was_sent_is_heard_as_time_goes_by():
    async def scenario():
        door, _stream = await opened()
        await speak(door, 10)
        unplayed = [door.unplayed_ms]
        for wait_s in (0.15, 0.05, 1.0):
            await asyncio.sleep(wait_s)
            unplayed.append(door.unplayed_ms)
        await speak(door, 1)
        return [round(ms) for ms in (*unplayed, door.unplayed_ms)]

    assert run_virtual(scenario()) == [200, 50, 0, 0, 20]


def test_a_mark_that_comes_back_late_tells_the_way_s_delay():
    async def scenario():
        door, stream = await opened()
        await speak(door, MARK_FRAMES)  # 500 ms
        await answer(door, stream, 0.65, mark(*names(stream)))
        await speak(door, 5)
        return round(door.unplayed_ms)

    assert run_virtual(scenario()) == 100 + 150


def test_a_peer_that_echoes_no_marks_is_taken_to_play_at_once():
    async def scenario():
        door, stream = await opened()
        for _ in range(200):
            await speak(door, MARK_FRAMES)
        assert len(names(stream)) == 100
        await asyncio.sleep(200 * MARK_FRAMES * 0.02)
        return door.unplayed_ms

    assert run_virtual(scenario()) == 0.0


def test_marks_of_audio_that_was_cleared_say_nothing():
    async def scenario():
        door, stream = await opened()
        await speak(door, MARK_FRAMES)
        await door.flush()
        assert door.unplayed_ms == 0.0
        assert stream.of("clear") == [{"event": "clear", "streamSid": "MZ1"}]
        await answer(door, stream, 3.0, mark(*names(stream)), mark("x"), mark("9" * 5000))
        await speak(door, 5)
        return round(door.unplayed_ms)

    assert run_virtual(scenario()) == 100


def test_a_telephone_is_told_no_events():
    async def scenario():
        door, stream = await opened()
        await door.tell("state", {"state": "listening"})
        await door.close("completed")
        return stream

    stream = run_virtual(scenario())
    assert (stream.sent, stream.closed) == ([], messages.CLOSE_NORMAL)


def test_an_odd_stream_name_cannot_break_a_message():
    name = 'a","x":"\\'

    async def scenario():
        stream = Stream(start(name))
        door = await TwilioDoor.accept(stream)
        await door.play(SILENCE)
        await door.flush()
        return stream.sent

    assert [m["streamSid"] for m in run_virtual(scenario())] == [name, name]


# --- what it refuses


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", "bad_json"),
        (b"\xff\xfe\xfa", "bad_json"),
        ("[" * 60_000, "bad_json"),
        ("[1, 2]", "unknown_message"),
        ({"event": "dance"}, "unknown_message"),
        ({"event": ["media"]}, "unknown_message"),
        ({"event": "media", "media": {}}, "bad_message"),
        ({"event": "media", "media": {"payload": 7}}, "bad_message"),
        ({"event": "media", "media": {"payload": "?"}}, "bad_frame"),
        ({"event": "media", "media": {"payload": "ä"}}, "bad_frame"),
        (media(b""), "bad_frame"),
        (media(b"\xff" * 1601), "frame_too_long"),
        (digit("12"), "bad_message"),
        (digit("A"), "bad_message"),
        ({"event": "mark"}, "bad_message"),
        (start(), "already_started"),
        (CONNECTED, "already_started"),
    ],
)
def test_bad_input_gets_its_code_and_the_call_goes_on(message, code):
    events, stream = visit(message, digit("1"))
    assert stream.errors == [code]
    assert events == [CallerDigit("1"), CallerHungUp()]
    assert stream.closed is None


@pytest.mark.parametrize(
    ("first", "code", "close"),
    [
        (media(), "not_started", 4400),
        (STOP, "not_started", 4400),
        ("nonsense", "bad_json", 4400),
        (start(sid=""), "bad_message", 4400),
        (start(sid="x" * 65), "bad_message", 4400),
        (start(mediaFormat={"encoding": "audio/opus"}), "unsupported_rate", 4415),
        (start(customParameters={"language": "fr"}), "bad_message", 4400),
        (start(customParameters={"profile": "x" * 41}), "bad_message", 4400),
        (start(customParameters=["kfz"]), None, None),
        ({"event": "start"}, "bad_message", 4400),
    ],
)
def test_a_stream_that_begins_wrong_is_refused(first, code, close):
    stream = Stream(CONNECTED, first)

    async def scenario():
        try:
            await TwilioDoor.accept(stream)
        except ProtocolError as error:
            await refuse(stream, error)
            return error.code
        return None

    assert run_virtual(scenario()) == code
    assert stream.closed == close


def test_a_start_that_does_not_come_times_out():
    async def scenario():
        with pytest.raises(ProtocolError) as error:
            await TwilioDoor.accept(Stream(CONNECTED, 11, start()))
        return error.value.code

    assert run_virtual(scenario()) == "timeout"


def test_too_many_errors_close_the_stream():
    events, stream = visit(*["x"] * 50)
    assert len(stream.errors) == MAX_ERRORS
    assert stream.closed == messages.CLOSE_BAD_MESSAGES
    assert events == [CallerHungUp(failed=True)]


def test_nothing_for_too_long_closes_the_stream():
    events, stream = visit(31)
    assert stream.closed == messages.CLOSE_TIMEOUT
    assert events == [CallerHungUp(failed=True)]


def test_audio_far_ahead_of_real_time_is_dropped():
    events, stream = visit(*[media()] * 260)
    assert set(stream.errors) == {"audio_too_fast"}
    assert len([e for e in events if isinstance(e, CallerAudio)]) == 251


def test_a_flood_is_refused_and_lets_others_have_their_turn():
    turns = []

    async def scenario():
        door, _stream = await opened(*[mark("x")] * 600)

        async def other():
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        events = [event async for event in door.events()]
        beside.cancel()
        return events

    assert run_virtual(scenario()) == [CallerHungUp(failed=True)]
    assert len(turns) > 100


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(json.dumps),
        st.builds(
            lambda event, inner: json.dumps({"event": event, event: inner}),
            st.sampled_from(["start", "media", "mark", "dtmf", "stop"]),
            st.dictionaries(
                st.sampled_from(["streamSid", "payload", "name", "digit", "customParameters"]),
                st.none() | st.integers() | st.text() | st.dictionaries(st.text(), st.integers()),
            ),
        ),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        read_twilio(raw)
