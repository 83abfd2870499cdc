"""The Telnyx door: what it reads, in which order, and what it sends."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import pcm_to_samples
from apps.core.errors import ProtocolError, TransferFailed
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp, CallRequest
from apps.voice.doors.carriers.marks import MARK_FRAMES
from apps.voice.doors.carriers.messages import Admitted, Media, StreamStart
from apps.voice.doors.peer import MAX_ERRORS
from apps.voice.doors.telnyx import MAX_WAITING_CHUNKS, ChunkOrder, TelnyxDoor, read_telnyx
from apps.voice.g711 import alaw_decode, alaw_encode, ulaw_encode
from tests.unit.carrier_streams import SILENCE, Stream, frames, listen, loudest_hz, tone
from tests.virtual_time import run_virtual

CONNECTED = {"event": "connected", "version": "1.0.0"}
STOP = {"event": "stop", "sequence_number": "5", "stop": {"user_id": "u"}, "stream_id": "S"}
FAULT = {"event": "error", "payload": {"code": 100003, "title": "malformed_frame"}}


def start(encoding="PCMU", **fields):
    """A start message as Telnyx writes it."""
    body = {
        "user_id": "3e6f995f",
        "call_control_id": "v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
        "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
        "media_format": {"encoding": encoding, "sample_rate": 8000, "channels": 1},
    }
    return {
        "event": "start",
        "sequence_number": "1",
        "start": body | fields,
        "stream_id": "32DE0DEA-53CB-4B21-89A4-9E1819C043BC",
    }


def media(chunk, g711=b"\xff" * 160):
    payload = base64.b64encode(g711).decode()
    inner = {"track": "inbound", "chunk": str(chunk), "timestamp": "5", "payload": payload}
    return {"event": "media", "sequence_number": "4", "media": inner, "stream_id": "S"}


def dtmf(key):
    return {"event": "dtmf", "stream_id": "S", "occurred_at": "2026", "dtmf": {"digit": key}}


def mark(name):
    return {"event": "mark", "sequence_number": "5", "stream_id": "S", "mark": {"name": name}}


async def opened(first=None):
    stream = Stream(CONNECTED, first or start())
    return await TelnyxDoor.accept(stream), stream


def visit(*script, first=None):
    async def scenario():
        door, stream = await opened(first)
        return await listen(door, stream, *script), stream

    return run_virtual(scenario())


def test_what_telnyx_sends_becomes_events():
    events, stream = visit(media(1), dtmf("4"), dtmf("#"), mark("x"), FAULT, STOP, media(2))
    assert events == [CallerAudio(SILENCE), CallerDigit("4"), CallerDigit("#"), CallerHungUp()]
    assert stream.sent == []


@pytest.mark.parametrize(("encoding", "encode"), [("PCMU", ulaw_encode), ("PCMA", alaw_encode)])
def test_the_caller_s_voice_is_put_in_order_and_arrives_at_16_khz(encoding, encode):
    g711 = encode(tone(8000))
    messages = [media(i // 160, g711[i : i + 160]) for i in range(0, 8000, 160)]
    for i in range(4, 48, 4):
        messages[i], messages[i + 1] = messages[i + 1], messages[i]
    in_order = visit(
        *sorted(messages, key=lambda m: int(m["media"]["chunk"])), first=start(encoding)
    )
    events, _ = visit(*messages, first=start(encoding))
    heard = b"".join(e.pcm for e in events if isinstance(e, CallerAudio))
    assert heard == b"".join(e.pcm for e in in_order[0] if isinstance(e, CallerAudio))
    assert loudest_hz(pcm_to_samples(heard), 16_000) == 440


def test_a_chunk_that_does_not_come_is_waited_for_only_so_long():
    order = ChunkOrder()
    assert order.push(7, b"7") == [b"7"]
    waiting = [order.push(n, b"%d" % n) for n in range(9, 9 + MAX_WAITING_CHUNKS)]
    assert waiting == [[]] * MAX_WAITING_CHUNKS
    assert order.push(14, b"14") == [b"9", b"10", b"11", b"12", b"13", b"14"]
    assert order.push(8, b"8") == [], "too late"
    assert order.push(14, b"14") == [], "twice"
    assert order.push(15, b"15") == [b"15"]


@given(st.permutations(range(40)), st.integers(0, MAX_WAITING_CHUNKS))
def test_chunks_that_are_not_too_far_out_of_order_all_arrive_in_order(shuffled, span):
    late = sorted(range(40), key=lambda n: n + (shuffled[n] % (span + 1)) * 0.9 + 0.5)
    late.remove(0)
    order = ChunkOrder()
    got = [x for n in (0, *late) for x in order.push(n, bytes([n]))]
    assert got == [bytes([n]) for n in range(40)]


@given(st.lists(st.integers(0, 10**15)))
def test_whatever_the_numbers_are_little_is_kept_and_nothing_comes_twice(numbers):
    order = ChunkOrder()
    got = []
    for n in numbers:
        got += order.push(n, str(n).encode())
        assert len(order._waiting) <= MAX_WAITING_CHUNKS
    assert got == sorted(set(got), key=int)


def test_what_is_played_arrives_as_media_and_marks_and_a_flush_clears_it():
    async def scenario():
        door, stream = await opened(start("PCMA"))
        for frame in frames():
            await door.play(frame)
        assert round(door.unplayed_ms) == 1000
        await door.flush()
        return door.unplayed_ms, stream

    unplayed_ms, stream = run_virtual(scenario())
    assert unplayed_ms == 0.0
    kinds = [message["event"] for message in stream.messages]
    assert kinds == [*["media"] * MARK_FRAMES, "mark", *["media"] * MARK_FRAMES, "mark", "clear"]
    payloads = [base64.b64decode(m["media"]["payload"]) for m in stream.messages if "media" in m]
    assert {len(payload) for payload in payloads} == {160}
    assert loudest_hz(alaw_decode(b"".join(payloads)), 8000) == 440
    assert stream.messages[25] == {"event": "mark", "mark": {"name": "25"}}
    assert stream.messages[-1] == {"event": "clear"}


def test_a_mark_that_comes_back_late_tells_the_way_s_delay():
    async def scenario():
        door, stream = await opened()
        for _ in range(MARK_FRAMES):
            await door.play(SILENCE)
        await listen(door, stream, 0.65, mark("25"))
        for _ in range(5):
            await door.play(SILENCE)
        return round(door.unplayed_ms)

    assert run_virtual(scenario()) == 100 + 150


@pytest.mark.parametrize(
    "given",
    [
        {"profile": "kfz", "language": "de"},
        [{"name": "profile", "value": "kfz"}, {"name": "language", "value": "de"}, "x", {}],
    ],
)
def test_the_stream_s_parameters_say_whom_the_call_is_for(given):
    door, _ = run_virtual(opened(start(custom_parameters=given)))
    assert door.request == CallRequest("kfz", "de")
    assert not door.capabilities.transfer


def test_who_admits_a_stream_decides_what_it_is():
    told = []

    async def hand_over(target, summary):
        told.append((target, summary))

    def admit(begun: StreamStart) -> Admitted:
        assert begun.call.startswith("v2:")
        return Admitted(CallRequest("desk"), hand_over)

    async def scenario():
        door = await TelnyxDoor.accept(Stream(start()), admit)
        assert door.capabilities.transfer
        await door.transfer("+4930", "what it costs")
        bare, _ = await opened()
        with pytest.raises(TransferFailed):
            await bare.transfer("+4930", "")
        return door.request

    assert run_virtual(scenario()) == CallRequest("desk")
    assert told == [("+4930", "what it costs")]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", "bad_json"),
        ({"event": "dance"}, "unknown_message"),
        ({"event": "media", "media": {"payload": "AA=="}}, "bad_message"),
        (media(-1), "bad_message"),
        (media("x"), "bad_message"),
        (media("²"), "bad_message"),
        (media(10**17), "bad_message"),
        ({"event": "media", "media": {"payload": "?", "chunk": "1"}}, "bad_frame"),
        (media(1, b""), "bad_frame"),
        (media(1, b"\xff" * 1601), "frame_too_long"),
        (dtmf("12"), "bad_message"),
        (dtmf(1), "bad_message"),
        ({"event": "mark"}, "bad_message"),
        (start(), "already_started"),
    ],
)
def test_bad_input_gets_its_code_and_the_call_goes_on(message, code):
    events, stream = visit(message, dtmf("1"))
    assert [m["error"]["code"] for m in stream.messages] == [code]
    assert events == [CallerDigit("1"), CallerHungUp()]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (start("OPUS"), "unsupported_rate"),
        (start(media_format=None), "unsupported_rate"),
        (start(call_control_id=""), "bad_message"),
        (start(custom_parameters={"language": "xx"}), "bad_message"),
        (media(1), "not_started"),
        (None, "not_started"),
    ],
)
def test_a_stream_that_begins_wrong_is_refused(first, code):
    script = (CONNECTED, first) if first else ()
    with pytest.raises(ProtocolError) as error:
        run_virtual(TelnyxDoor.accept(Stream(*script)))
    assert error.value.code == code


def test_too_many_errors_close_the_stream():
    events, stream = visit(*["x"] * 50)
    assert len(stream.messages) == MAX_ERRORS + 1
    assert events == [CallerHungUp(failed=True)]
    assert stream.closed == 4400


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NESTED = st.recursive(LEAVES, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | st.binary()
    | NESTED.map(json.dumps)
    | st.builds(
        lambda event, inner, parts: json.dumps({"event": event, event: inner | parts}),
        st.sampled_from(["start", "media", "mark", "dtmf", "stop", "error", "connected"]),
        st.dictionaries(
            st.sampled_from(["payload", "chunk", "name", "digit", "call_control_id"]), NESTED
        ),
        st.dictionaries(st.sampled_from(["media_format", "custom_parameters"]), NESTED),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        read_telnyx(raw)


def test_a_number_as_chunk_is_read_too():
    assert read_telnyx(
        json.dumps({"event": "media", "media": {"payload": "/w==", "chunk": 3}})
    ) == (Media(b"\xff", 3))
