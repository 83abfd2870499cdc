"""The chan_websocket door: control messages as text and as JSON, and the audio between them."""

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import pcm_to_samples
from apps.core.errors import ProtocolError
from apps.voice.doors.asterisk.control import FORMATS, FlowControl, read_control
from apps.voice.doors.asterisk.websocket import XOFF_S, AsteriskDoor
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp, CallRequest
from apps.voice.doors.carriers.marks import MARK_FRAMES
from apps.voice.doors.carriers.messages import Mark, Notice
from apps.voice.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from tests.unit.carrier_streams import SILENCE, Stream, frames, listen, loudest_hz, tone
from tests.virtual_time import run_virtual

DECODE = {
    "ulaw": ulaw_decode,
    "alaw": alaw_decode,
    "slin": pcm_to_samples,
    "slin16": pcm_to_samples,
}
ENCODE = {"ulaw": ulaw_encode, "alaw": alaw_encode, "slin": bytes, "slin16": bytes}
FRAME_BYTES = {"ulaw": 160, "alaw": 160, "slin": 320, "slin16": 640}
PLAIN_START = (
    "MEDIA_START connection_id:e226e283-c90a-4ea9-9e37-389000b9ef47 channel:WebSocket/tom/0x51400"
    " channel_id:pbx1-123456789.999 format:ulaw optimal_frame_size:160 ptime:20"
)


def media_start(name="ulaw", size=None):
    """The event as Asterisk writes it in JSON."""
    return {
        "event": "MEDIA_START",
        "connection_id": "media_connection1",
        "channel": "WebSocket/media_connection1/0x5140001a0040",
        "channel_id": "1761245643.1",
        "format": name,
        "optimal_frame_size": size or FRAME_BYTES[name],
        "ptime": 20,
        "channel_variables": {"DIALEDPEERNUMBER": "media_connection1/c(ulaw)"},
    }


def event(kind, **fields):
    return {"event": kind, "channel_id": "1761245643.1", **fields}


async def opened(first=None):
    stream = Stream(first or media_start())
    return await AsteriskDoor.accept(stream, CallRequest("kfz", "de")), stream


def visit(*script, first=None):
    async def scenario():
        door, stream = await opened(first)
        return await listen(door, stream, *script), stream

    return run_virtual(scenario())


def commands(stream):
    return [m["command"] for m in stream.messages]


def test_what_asterisk_sends_becomes_events():
    events, stream = visit(
        b"\xff" * 160,
        event("DTMF_END", digit="4", duration_ms=90),
        event("MEDIA_MARK_PROCESSED", correlation_id="x"),
        event("STATUS", queue_length=43),
        event("ERROR", error_text="what?"),
        b"\xff" * 160,
    )
    expected = [CallerAudio(SILENCE), CallerDigit("4"), CallerAudio(SILENCE), CallerHungUp()]
    assert events == expected
    assert stream.sent == []


def test_the_older_plain_text_says_the_same():
    script = (
        "DTMF_END digit:4",
        "MEDIA_XOFF",
        "MEDIA_XON",
        "STATUS queue_length:43",
        "QUEUE_DRAINED",
    )
    events, _ = visit(*script, first=PLAIN_START)
    assert events == [CallerDigit("4"), CallerHungUp()]
    assert read_control("MEDIA_MARK_PROCESSED 25") == Mark("25")
    assert read_control("MEDIA_MARK_PROCESSED correlation_id:25") == Mark("25")
    assert read_control("MEDIA_BUFFERING_COMPLETED") == Notice()
    assert read_control("MEDIA_XOFF") == FlowControl(on=False)


@pytest.mark.parametrize("name", FORMATS)
def test_audio_goes_both_ways_in_the_channel_s_format(name):
    rate_hz = FORMATS[name][1]
    whole = ENCODE[name](tone(rate_hz))
    size = FRAME_BYTES[name]

    async def scenario():
        door, stream = await opened(media_start(name))
        for frame in frames():
            await door.play(frame)
        pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
        return await listen(door, stream, *pieces), stream

    events, stream = run_virtual(scenario())
    heard = pcm_to_samples(b"".join(e.pcm for e in events if isinstance(e, CallerAudio)))
    assert (len(heard), loudest_hz(heard, 16_000)) == (16_000, 440)
    assert {len(piece) for piece in stream.audio} == {size}
    assert loudest_hz(DECODE[name](b"".join(stream.audio)), rate_hz) == 440
    assert commands(stream) == ["MARK_MEDIA", "MARK_MEDIA"]


def test_the_channel_is_answered_when_the_call_is_taken_and_hung_up_at_its_end():
    async def scenario():
        door, stream = await opened()
        await door.tell("state", {"state": "greeting"})
        await door.tell("call.started", {})
        await door.close("handover")
        return stream

    stream = run_virtual(scenario())
    assert commands(stream) == ["ANSWER", "HANGUP"]
    assert stream.closed == 1000


def test_commands_are_as_plain_as_the_channel_s_events():
    async def scenario():
        door, stream = await opened(PLAIN_START)
        for _ in range(MARK_FRAMES):
            await door.play(SILENCE)
        await door.flush()
        return stream

    assert run_virtual(scenario()).texts == ["MARK_MEDIA 25", "FLUSH_MEDIA"]


def test_a_flush_forgets_the_marks_that_asterisk_drops_with_it():
    async def scenario():
        door, stream = await opened()
        for _ in range(MARK_FRAMES):
            await door.play(SILENCE)
        await door.flush()
        unplayed = [door.unplayed_ms]
        await listen(door, stream, 3.0, event("MEDIA_MARK_PROCESSED", correlation_id="25"))
        await door.play(SILENCE)
        return [*unplayed, door.unplayed_ms]

    assert run_virtual(scenario()) == [0.0, 20.0]


def test_a_mark_that_comes_back_late_tells_the_way_s_delay():
    async def scenario():
        door, stream = await opened()
        for _ in range(MARK_FRAMES):
            await door.play(SILENCE)
        await listen(door, stream, 0.65, event("MEDIA_MARK_PROCESSED", correlation_id="25"))
        await door.play(SILENCE)
        return round(door.unplayed_ms)

    assert run_virtual(scenario()) == 20 + 150


def test_frames_that_are_not_asterisk_s_own_are_collected_there():
    async def scenario():
        door, stream = await opened(media_start("ulaw", 240))  # 30 ms
        await door.play(SILENCE)
        await door.play(SILENCE)
        await door.flush()
        await door.play(SILENCE)
        return stream

    begin, flush = "START_MEDIA_BUFFERING", "FLUSH_MEDIA"
    stream = run_virtual(scenario())
    kinds = [json.loads(x)["command"] if isinstance(x, str) else "audio" for x in stream.sent]
    assert kinds == [begin, "audio", "audio", flush, begin, "audio"]


@pytest.mark.parametrize("relief", ["MEDIA_XON", "flush", "nothing"])
def test_while_asterisk_s_queue_is_full_nothing_is_sent(relief):
    async def scenario():
        door, stream = await opened()
        await listen(door, stream, event("MEDIA_XOFF"))
        playing = asyncio.create_task(door.play(SILENCE))
        await asyncio.sleep(5)
        assert stream.audio == []
        if relief == "flush":
            await door.flush()
        elif relief == "MEDIA_XON":
            await listen(door, stream, event("MEDIA_XON"))
        await asyncio.sleep(XOFF_S if relief == "nothing" else 0.01)
        await playing
        return len(stream.audio)

    assert run_virtual(scenario()) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "unknown_message"),
        ("DANCE", "unknown_message"),
        ("{", "bad_json"),
        ({"event": "DANCE"}, "unknown_message"),
        ({"command": "HANGUP"}, "unknown_message"),
        (event("DTMF_END"), "bad_message"),
        (event("DTMF_END", digit="44"), "bad_message"),
        ("DTMF_END digit:", "bad_message"),
        ("DTMF_END event:MEDIA_XOFF", "bad_message"),
        (b"", "bad_frame"),
        (b"\xff" * 1601, "frame_too_long"),
        (media_start(), "already_started"),
    ],
)
def test_bad_input_is_dropped_without_a_word_and_the_call_goes_on(message, code):
    if not isinstance(message, bytes) and code != "already_started":
        with pytest.raises(ProtocolError) as error:
            read_control(json.dumps(message) if isinstance(message, dict) else message)
        assert error.value.code == code
    events, stream = visit(message, event("DTMF_END", digit="1"))
    assert events == [CallerDigit("1"), CallerHungUp()]
    assert stream.sent == []


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (media_start("ulaw") | {"format": "opus"}, "unsupported_rate"),
        (media_start("ulaw") | {"format": ["ulaw"]}, "unsupported_rate"),
        (media_start("ulaw") | {"optimal_frame_size": 0}, "bad_message"),
        ("MEDIA_START format:ulaw optimal_frame_size:many", "bad_message"),
        (b"\xff" * 160, "not_started"),
        (event("MEDIA_XON"), "not_started"),
    ],
)
def test_a_channel_that_begins_wrong_is_refused(first, code):
    with pytest.raises(ProtocolError) as error:
        run_virtual(opened(first))
    assert error.value.code == code


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    max_leaves=8,
)
KINDS = ["MEDIA_START", "DTMF_END", "MEDIA_MARK_PROCESSED", "MEDIA_XOFF", "STATUS"]
NAMES = ["format", "optimal_frame_size", "digit", "correlation_id", "event"]


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | NESTED.map(json.dumps)
    | st.builds(
        lambda kind, fields: json.dumps({**fields, "event": kind}),
        st.sampled_from(KINDS),
        st.dictionaries(st.sampled_from(NAMES), NESTED),
    )
    | st.builds(
        lambda kind, fields: " ".join([kind, *(f"{k}:{v}" for k, v in fields.items())]),
        st.sampled_from(KINDS),
        st.dictionaries(st.sampled_from(NAMES), st.text(max_size=9)),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        read_control(raw)
