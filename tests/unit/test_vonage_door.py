"""The Vonage door: what it reads, and what it sends."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import pcm_to_samples
from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp, CallRequest
from apps.voice.doors.carriers.marks import MARK_FRAMES
from apps.voice.doors.peer import MAX_ERRORS
from apps.voice.doors.vonage import VonageDoor, read_vonage
from tests.unit.carrier_streams import SILENCE, Stream, frames, listen, loudest_hz, tone
from tests.virtual_time import run_virtual

CLEARED = {"event": "websocket:cleared"}
LATER = {"event": "websocket:media:update", "something": "new"}


def connected(rate_hz=16_000, **headers):
    """The first message as Vonage writes it."""
    kind = f"audio/l16;rate={rate_hz}"
    return {"event": "websocket:connected", "content-type": kind, **headers}


def notify(name):
    return {"event": "websocket:notify", "payload": {"mark": name}}


def dtmf(key):
    return {"event": "websocket:dtmf", "digit": key, "duration": 260}


async def opened(rate_hz=16_000, **headers):
    stream = Stream(connected(rate_hz, **headers))
    return await VonageDoor.accept(stream), stream


def visit(*script, rate_hz=16_000):
    async def scenario():
        door, stream = await opened(rate_hz)
        return await listen(door, stream, *script), stream

    return run_virtual(scenario())


def test_what_vonage_sends_becomes_events():
    events, stream = visit(SILENCE, dtmf("5"), CLEARED, LATER, notify("9"), SILENCE)
    expected = [CallerAudio(SILENCE), CallerDigit("5"), CallerAudio(SILENCE), CallerHungUp()]
    assert events == expected
    assert stream.sent == []


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
def test_the_caller_s_voice_arrives_at_16_khz(rate_hz):
    samples = tone(rate_hz)
    size = rate_hz // 50
    pieces = [samples[i : i + size].tobytes() for i in range(0, len(samples), size)]
    events, _ = visit(*pieces, rate_hz=rate_hz)
    heard = pcm_to_samples(b"".join(e.pcm for e in events if isinstance(e, CallerAudio)))
    assert (len(heard), loudest_hz(heard, 16_000)) == (16_000, 440)


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
def test_what_is_played_arrives_as_20_ms_of_samples_with_notifies(rate_hz):
    async def scenario():
        door, stream = await opened(rate_hz)
        for frame in frames():
            await door.play(frame)
        await door.flush()
        return door.unplayed_ms, stream

    unplayed_ms, stream = run_virtual(scenario())
    assert unplayed_ms == 0.0
    assert {len(piece) for piece in stream.audio} == {rate_hz // 50 * 2}
    played = np.frombuffer(b"".join(stream.audio), "<i2")
    assert loudest_hz(played, rate_hz) == 440
    assert stream.messages == [
        {"action": "notify", "payload": {"mark": "25"}},
        {"action": "notify", "payload": {"mark": "50"}},
        {"action": "clear"},
    ]


def test_a_notify_that_comes_back_late_tells_the_way_s_delay():
    async def scenario():
        door, stream = await opened()
        for _ in range(MARK_FRAMES):
            await door.play(SILENCE)
        await listen(door, stream, 0.65, notify("25"))
        for _ in range(5):
            await door.play(SILENCE)
        return round(door.unplayed_ms)

    assert run_virtual(scenario()) == 100 + 150


def test_the_headers_of_the_answer_say_whom_the_call_is_for():
    door, _ = run_virtual(opened(profile="kfz", language="de", caller="+49", token="t"))
    assert door.request == CallRequest("kfz", "de", "+49")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", "bad_json"),
        ({"event": "dance"}, "unknown_message"),
        ([1], "unknown_message"),
        (b"", "bad_frame"),
        (b"\0", "bad_frame"),
        (b"\0" * 6402, "frame_too_long"),
        (dtmf("12"), "bad_message"),
        ({"event": "websocket:dtmf"}, "bad_message"),
        (connected(), "already_started"),
    ],
)
def test_bad_input_is_dropped_without_a_word_and_the_call_goes_on(message, code):
    raw = json.dumps(message) if isinstance(message, dict | list) else message
    if code != "already_started":
        with pytest.raises(ProtocolError) as error:
            read_vonage(raw)
        assert error.value.code == code
    events, stream = visit(raw, dtmf("1"))
    assert events == [CallerDigit("1"), CallerHungUp()]
    assert stream.sent == [], "Vonage takes no message that it does not know"


def test_too_many_errors_close_the_connection():
    events, stream = visit(*["x"] * (MAX_ERRORS + 5))
    assert events == [CallerHungUp(failed=True)]
    assert stream.closed == 4400


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (connected(44_100), "unsupported_rate"),
        ({"event": "websocket:connected"}, "unsupported_rate"),
        (SILENCE, "not_started"),
        (dtmf("1"), "not_started"),
        (connected(language="xx"), "bad_message"),
        (11, "timeout"),
    ],
)
def test_a_connection_that_begins_wrong_is_refused(first, code):
    with pytest.raises(ProtocolError) as error:
        run_virtual(VonageDoor.accept(Stream(first)))
    assert error.value.code == code


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NESTED = st.recursive(LEAVES, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8)
EVENTS = ["websocket:connected", "websocket:dtmf", "websocket:notify", "websocket:cleared"]


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | st.binary()
    | NESTED.map(json.dumps)
    | st.builds(
        lambda event, fields: json.dumps({**fields, "event": event}),
        st.sampled_from(EVENTS),
        st.dictionaries(st.sampled_from(["content-type", "digit", "payload", "token"]), NESTED),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        read_vonage(raw)
