"""The WebSocket door: what it reads, what it refuses, and that nothing takes it down."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES
from apps.core.errors import AtCapacity, ProtocolError
from apps.voice.doors import messages
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallerRating,
    CallerText,
)
from apps.voice.doors.messages import read_message
from apps.voice.doors.peer import MAX_ERRORS, refuse
from apps.voice.doors.websocket import WebSocketDoor
from tests.scripted_socket import ScriptedSocket
from tests.virtual_time import run_virtual

PROTOCOL = Path("docs/protocol.md")
FRAME = b"\0" * FRAME_BYTES


class FakeSocket(ScriptedSocket):
    """A client of the native protocol."""

    @property
    def errors(self):
        return [m["code"] for m in self.messages if m["type"] == "error"]


def visit(*script, observe=False, start=None):
    """Run a door over a script; return its events and the socket."""
    socket = FakeSocket({"type": "start"} | (start or {}), *script)

    async def scenario():
        door = await WebSocketDoor.accept(socket, lambda token: observe)
        return [event async for event in door.events()]

    return run_virtual(scenario()), socket


def test_everything_a_caller_can_send_becomes_an_event():
    events, socket = visit(
        FRAME,
        {"type": "text", "text": "hello"},
        {"type": "dtmf", "digit": "4"},
        {"type": "rating", "stars": 5},
        {"type": "ping"},
        {"type": "hangup"},
        {"type": "text", "text": "after the end"},
    )
    assert events == [
        CallerAudio(FRAME),
        CallerText("hello"),
        CallerDigit("4"),
        CallerRating(5),
        CallerHungUp(),
    ]
    assert {"type": "pong"} in socket.sent


def test_a_closed_connection_is_a_hang_up():
    assert visit()[0] == [CallerHungUp()]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", "bad_json"),
        ("[1, 2]", "unknown_message"),
        ("[" * 100_000, "bad_json"),
        ({"type": "dance"}, "unknown_message"),
        ({"type": "text", "text": ""}, "bad_message"),
        ({"type": "text", "text": "x" * 1001}, "bad_message"),
        ({"type": "dtmf", "digit": "12"}, "bad_message"),
        ({"type": "rating", "stars": 6}, "bad_message"),
        ({"type": "rating", "stars": "5"}, "bad_message"),
        ({"type": "ping", "extra": 1}, "bad_message"),
        ({"type": "start"}, "already_started"),
        (b"", "bad_frame"),
        (b"abc", "bad_frame"),
        (FRAME * 11, "frame_too_long"),
    ],
)
def test_bad_input_gets_its_code_and_the_call_goes_on(message, code):
    events, socket = visit(message, {"type": "text", "text": "still here"})
    assert socket.errors == [code]
    assert events == [CallerText("still here"), CallerHungUp()]
    assert socket.closed is None


def test_audio_in_a_typed_call_is_refused():
    _, socket = visit(FRAME, start={"mode": "text"})
    assert socket.errors == ["audio_not_expected"]


def test_audio_far_ahead_of_real_time_is_dropped():
    events, socket = visit(*[FRAME] * 260)
    assert set(socket.errors) == {"audio_too_fast"}
    assert len([e for e in events if isinstance(e, CallerAudio)]) == 251


def test_too_many_errors_close_the_connection():
    events, socket = visit(*["x"] * 50)
    assert len(socket.errors) == MAX_ERRORS + 1
    assert socket.closed == messages.CLOSE_BAD_MESSAGES
    assert events == [CallerHungUp(failed=True)]


def test_nothing_for_too_long_closes_the_connection():
    events, socket = visit(31)
    assert socket.closed == messages.CLOSE_TIMEOUT
    assert events == [CallerHungUp(failed=True)]


def test_a_flood_of_messages_is_refused_and_lets_others_have_their_turn():
    events, socket = visit(*[{"type": "ping"}] * 600)
    assert set(socket.errors) == {"too_fast"}
    assert socket.sent.count({"type": "pong"}) == 400
    assert events == [CallerHungUp(failed=True)]


def test_a_long_silence_earns_no_credit_for_audio():
    pings = [step for _ in range(30) for step in ({"type": "ping"}, 20)]
    _, socket = visit(*pings, *[FRAME] * 260)
    assert set(socket.errors) == {"audio_too_fast"}


@pytest.mark.parametrize(
    ("first", "code", "close"),
    [
        ({"type": "text", "text": "hi"}, "not_started", 4400),
        (FRAME, "not_started", 4400),
        ("nonsense", "bad_json", 4400),
        ({"type": "start", "audio": {"rate": 12345}}, "unsupported_rate", 4415),
        (
            {"type": "start", "audio": {"rate": 16000, "encoding": "mulaw"}},
            "unsupported_rate",
            4415,
        ),
        ({"type": "start", "audio": {"encoding": "mp3"}}, "bad_message", 4400),
        ({"type": "start", "observe": True}, "forbidden", 4403),
        ({"type": "start", "language": "fr"}, "bad_message", 4400),
    ],
)
def test_a_call_that_begins_wrong_is_refused(first, code, close):
    socket = FakeSocket(first)

    async def scenario():
        with pytest.raises(ProtocolError) as error:
            await WebSocketDoor.accept(socket, lambda token: False)
        await refuse(socket, error.value)

    run_virtual(scenario())
    assert socket.errors == [code]
    assert socket.closed == close


def test_a_start_that_does_not_come_times_out():
    async def scenario():
        with pytest.raises(ProtocolError) as error:
            await WebSocketDoor.accept(FakeSocket(11), lambda token: False)
        return error.value.code

    assert run_virtual(scenario()) == "timeout"


def test_busy_closes_with_try_again_later():
    socket = FakeSocket()
    run_virtual(refuse(socket, AtCapacity("All lines are busy.")))
    assert socket.closed == 1013


@pytest.mark.parametrize(("encoding", "rate"), [("pcm_s16le", 8000), ("mulaw", 8000)])
def test_a_telephone_s_audio_is_converted_both_ways(encoding, rate):
    size = 320 if encoding == "pcm_s16le" else 160
    audio = {"encoding": encoding, "rate": rate}
    socket = FakeSocket({"type": "start", "audio": audio}, *[b"\1" * size] * 50)

    async def scenario():
        door = await WebSocketDoor.accept(socket, lambda token: False)
        heard = [e.pcm async for e in door.events() if isinstance(e, CallerAudio)]
        for _ in range(50):
            await door.play(FRAME)
        return sum(map(len, heard))

    heard_bytes = run_virtual(scenario())
    assert heard_bytes == pytest.approx(50 * FRAME_BYTES, rel=0.03)
    assert sum(map(len, socket.sent)) == pytest.approx(50 * size, rel=0.03)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(json.dumps),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        read_message(raw)


def test_the_specification_names_every_message_field_and_error_code():
    text = PROTOCOL.read_text(encoding="utf-8")
    for model in (
        messages.Start,
        messages.Text,
        messages.Dtmf,
        messages.Rating,
        messages.AudioFormat,
    ):
        for field in model.model_fields:
            assert f"`{field}`" in text, f"{model.__name__}.{field}"
    for name in messages._TYPES:
        assert f"| `{name}` |" in text
    source = "".join(
        Path(p).read_text(encoding="utf-8")
        for p in (
            "apps/voice/doors/messages.py",
            "apps/voice/doors/websocket.py",
            "apps/dispatcher/caller_input.py",
            "apps/dispatcher/switchboard.py",
        )
    )
    for code in set(re.findall(r'code="(\w+)"', source)):
        assert f"| `{code}` |" in text, code
