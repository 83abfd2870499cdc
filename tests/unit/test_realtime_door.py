"""The Realtime door: how a session begins, what it hears and sends, and what it refuses."""

import asyncio
import base64
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, FRAME_SAMPLES, pcm_to_samples, samples_to_pcm
from apps.core.errors import ProtocolError, TransferFailed
from apps.voice.doors import messages
from apps.voice.doors.base import (
    CallerAudio,
    CallerHungUp,
    CallerText,
    CallRequest,
    TurnsByHand,
)
from apps.voice.doors.client_hand_over import TRANSFER_S
from apps.voice.doors.peer import MAX_ERRORS
from apps.voice.doors.realtime.door import SETTLE_S, RealtimeDoor
from apps.voice.doors.realtime.messages import TYPES, CreateItem, read_event, read_item
from apps.voice.doors.realtime.session import Session, update
from apps.voice.g711 import alaw_encode, ulaw_encode
from tests.realtime_client import event
from tests.scripted_socket import ScriptedSocket
from tests.virtual_time import run_virtual

FRAME = b"\0" * FRAME_BYTES
TONE = (8000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)).astype(np.int16)


class Line(ScriptedSocket):
    """A client of a Realtime session."""

    async def send_bytes(self, data):
        raise AssertionError("a session carries text alone")

    def of(self, kind):
        return [sent for sent in self.sent if sent["type"] == kind]

    @property
    def errors(self):
        return [sent["error"]["code"] for sent in self.of("error")]


def audio(samples, encode=samples_to_pcm):
    payload = base64.b64encode(encode(samples)).decode()
    return event("input_audio_buffer.append", audio=payload)


def setup(**session):
    return event("session.update", session={"type": "realtime", **session})


def formats(kind):
    return {"audio": {"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}}}


async def opened(*script):
    line = Line(*script)
    return await RealtimeDoor.accept(line, CallRequest(), "tom"), line


async def visited(*script):
    door, line = await opened(*script)
    return [arrival async for arrival in door.events()], door, line


def visit(*script):
    """Run a door over a script; return its events, the door, and the line."""
    return run_virtual(visited(*script))


async def begin(door):
    await door.tell("call.started", {"language": "en", "call_id": "call_1"})
    await door.tell("state", {"state": "speaking"})
    said = {"role": "assistant", "text": "Good day.", "turn_id": 1, "sources": []}
    await door.tell("transcript.final", said)


# --- how it begins


def test_a_session_waits_a_moment_to_be_set_up():
    async def scenario():
        loop = asyncio.get_running_loop()
        door, line = await opened(0.4, setup(**formats("audio/pcmu")))
        first = loop.time()
        await opened(60)
        return door, line, first, loop.time() - first

    door, line, first, second = run_virtual(scenario())
    assert [sent["type"] for sent in line.sent] == ["session.created", "session.updated"]
    assert line.sent[1]["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert (round(first, 2), round(second, 2)) == (0.4, SETTLE_S)
    assert door.capabilities.audio
    assert door.capabilities.transfer


def test_whatever_else_comes_begins_the_call_and_is_not_lost():
    arrivals, _, _ = visit(audio(np.zeros(480, np.int16)), audio(np.zeros(480, np.int16)))
    heard = b"".join(a.pcm for a in arrivals if isinstance(a, CallerAudio))
    assert len(heard) > FRAME_BYTES
    assert arrivals[-1] == CallerHungUp()


def test_the_first_update_says_the_language_and_whether_it_is_spoken():
    wanted = {"audio": {"input": {"transcription": {"language": "de-AT"}}}}
    door, _ = run_virtual(opened(setup(output_modalities=["text"], **wanted)))
    assert door.request.language == "de"
    assert not door.capabilities.audio


def test_a_first_update_that_is_refused_leaves_time_for_a_better_one():
    async def scenario():
        return await opened(setup(voice=1, output_modalities=[]), "{", setup(), 1)

    _, line = run_virtual(scenario())
    kinds = [sent["type"] for sent in line.sent]
    assert kinds == ["session.created", "error", "error", "session.updated"]


def test_who_ends_turns_by_hand_says_so_at_the_call_s_begin():
    arrivals, _, _ = visit(setup(audio={"input": {"turn_detection": None}}))
    assert arrivals == [TurnsByHand(on=True), CallerHungUp()]


def test_a_client_that_goes_at_once_has_hung_up():
    assert visit()[0] == [CallerHungUp()]


# --- audio


@pytest.mark.parametrize(
    ("kind", "rate", "encode"),
    [
        ("audio/pcm", 24_000, samples_to_pcm),
        ("audio/pcmu", 8000, ulaw_encode),
        ("audio/pcma", 8000, alaw_encode),
    ],
)
def test_the_caller_s_voice_arrives_at_16_khz(kind, rate, encode):
    tone = (8000 * np.sin(np.arange(rate) * 2 * np.pi * 440 / rate)).astype(np.int16)
    step = rate // 5
    pieces = [audio(tone[i : i + step], encode) for i in range(0, rate, step)]
    arrivals, _, line = visit(setup(**formats(kind)), *pieces)
    heard = pcm_to_samples(b"".join(a.pcm for a in arrivals if isinstance(a, CallerAudio)))
    assert line.errors == []
    assert 15_900 < len(heard) <= 16_000
    assert abs(np.abs(np.fft.rfft(heard.astype(np.float64), 16_000)).argmax() - 440) <= 1


@pytest.mark.parametrize(
    ("kind", "bytes_each", "decode_rate"),
    [("audio/pcm", 960, 24_000), ("audio/pcmu", 160, 8000), ("audio/pcma", 160, 8000)],
)
def test_the_assistant_s_voice_leaves_in_the_session_s_format(kind, bytes_each, decode_rate):
    async def scenario():
        door, line = await opened(setup(**formats(kind)))
        await begin(door)
        for i in range(0, len(TONE), FRAME_SAMPLES):
            await door.play(samples_to_pcm(TONE[i : i + FRAME_SAMPLES]))
        return line

    deltas = run_virtual(scenario()).of("response.output_audio.delta")
    sizes = [len(base64.b64decode(sent["delta"])) for sent in deltas]
    assert len(sizes) == 50
    assert sizes[10] == bytes_each
    assert abs(sum(sizes) - 50 * bytes_each) <= bytes_each


def test_long_audio_is_handed_on_in_pieces():
    arrivals, _, _ = visit(
        setup(**formats("audio/pcmu")), audio(np.zeros(24_000, "i2"), ulaw_encode)
    )
    lengths = [len(a.pcm) for a in arrivals if isinstance(a, CallerAudio)]
    assert max(lengths) == FRAME_BYTES * 10
    assert sum(lengths) == 3 * 32_000


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("not json", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        ("[" * 60_000, "invalid_json"),
        ("[]", "unknown_event"),
        (event("dance"), "unknown_event"),
        (event("input_audio_buffer.append"), "invalid_value"),
        (event("input_audio_buffer.append", audio="?"), "invalid_audio"),
        (event("input_audio_buffer.append", audio=""), "invalid_audio"),
        (event("input_audio_buffer.append", audio="AAAA"), "invalid_audio"),
        (event("input_audio_buffer.append", audio="ä"), "invalid_audio"),
        (event("conversation.item.retrieve", item_id=""), "invalid_value"),
        (event("conversation.item.create", item=3), "invalid_value"),
        (event("session.update"), "invalid_value"),
        (event("response.cancel", event_id="mine"), "response_cancel_not_active"),
    ],
)
def test_bad_input_gets_its_code_and_the_session_goes_on(sent, code):
    content = [{"type": "input_text", "text": "hello"}]
    item = {"type": "message", "role": "user", "content": content}
    typed = event("conversation.item.create", item=item)
    arrivals, _, line = visit(setup(), sent, typed, event("response.create"))
    assert line.errors == [code]
    assert arrivals == [CallerText("hello"), CallerHungUp()]


def test_an_error_names_the_event_and_the_field():
    bad = event("session.update", event_id="mine", session={"output_modalities": ["smell"]})
    _, _, line = visit(setup(), bad)
    [error] = line.of("error")
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["event_id"] == "mine"
    assert error["error"]["param"] == "session.output_modalities.0"


def test_a_typed_session_takes_no_audio():
    sent = audio(np.zeros(480, np.int16))
    assert visit(setup(output_modalities=["text"]), sent)[2].errors == ["audio_not_expected"]


def test_too_many_errors_close_the_session():
    arrivals, _, line = visit(setup(), *["x"] * 50)
    assert len(line.errors) == MAX_ERRORS + 1
    assert line.closed == messages.CLOSE_BAD_MESSAGES
    assert arrivals == [CallerHungUp(failed=True)]


def test_audio_far_ahead_of_real_time_is_dropped():
    second = audio(np.zeros(24_000, np.int16))
    arrivals, _, line = visit(setup(), *[second] * 20)
    assert set(line.errors) == {"audio_too_fast"}
    heard = sum(len(a.pcm) for a in arrivals if isinstance(a, CallerAudio))
    assert heard < 7 * 32_000


def test_a_client_that_says_nothing_is_not_hung_up_on():
    arrivals, _, line = visit(setup(), 300, event("input_audio_buffer.clear"))
    assert arrivals == [CallerHungUp()]
    assert line.closed is None


# --- the call


def test_what_goes_wrong_in_the_call_is_told_as_an_error():
    async def scenario():
        door, line = await opened(setup())
        await door.tell("notice", {"code": "cannot_hear", "text": "Nobody hears German here."})
        await door.tell("error", {"code": "not_asked", "message": "No rating.", "hint": ""})
        await door.tell("turn.latency", {"turn_id": 1, "ms": 5, "stages": {}})
        await door.close("completed")
        return line

    line = run_virtual(scenario())
    assert line.errors == ["cannot_hear", "not_asked"]
    assert len(line.sent) == 4
    assert line.closed == messages.CLOSE_NORMAL


def output(line, **result):
    [called] = line.of("response.function_call_arguments.done")
    item = {"type": "function_call_output", "call_id": called["call_id"]}
    return event("conversation.item.create", item={**item, "output": json.dumps(result)})


async def handing_over(answer):
    door, line = await opened(setup())

    async def read():
        async for _ in door.events():
            pass

    handing = asyncio.create_task(door.transfer("sip:desk@example.org", "Wants a plate."))
    await asyncio.sleep(0.1)
    line.script = [1, *([output(line, **answer)] if answer is not None else []), 60]
    reading = asyncio.create_task(read())
    began = asyncio.get_running_loop().time()
    try:
        await handing
    finally:
        reading.cancel()
    return round(asyncio.get_running_loop().time() - began)


def test_a_hand_over_waits_for_what_came_of_it():
    assert run_virtual(handing_over({"ok": True})) == 1
    assert run_virtual(handing_over(None)) == TRANSFER_S


def test_a_hand_over_that_failed_leaves_the_caller_here():
    with pytest.raises(TransferFailed):
        run_virtual(handing_over({"error": "nobody answers"}))


def test_a_client_s_truncation_tells_how_late_it_plays():
    async def scenario():
        door, line = await opened(setup())
        await begin(door)
        for _ in range(25):  # 500 ms
            await door.play(FRAME)
        before = door.unplayed_ms
        await asyncio.sleep(0.45)
        [added] = line.of("response.output_item.added")
        told = {"item_id": added["item"]["id"], "content_index": 0, "audio_end_ms": 300}
        line.script = [event("conversation.item.truncate", **told)]
        async for _ in door.events():
            pass
        return round(before), round(door.unplayed_ms)

    assert run_virtual(scenario()) == (500, 50 + 150)


# --- reading


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(TYPES)
FIELDS = "event_id session item response audio item_id content_index audio_end_ms role content"
NAMES = st.sampled_from([*FIELDS.split(), "type", "text", "id", "call_id", "output", "input"])
NESTED = st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=10)


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | st.binary()
    | JSON.map(json.dumps)
    | st.builds(
        lambda kind, rest: json.dumps({**rest, "type": kind}),
        KINDS,
        st.dictionaries(NAMES, NESTED, max_size=4),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        read = read_event(raw)
        if isinstance(read, CreateItem):
            read_item(read)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["type", "audio", "output_modalities", "tools"]), NESTED))
def test_a_session_stays_whole_whatever_a_client_wants_of_it(wanted):
    session = Session("sess_1", "tom")
    with suppress(ProtocolError):
        session = update(session, wanted)
    assert json.dumps(session.as_dict())
