"""The RTVI door: what it reads, what it tells, and how it declines video."""

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import ProtocolError, TomError, TransferFailed
from apps.dispatcher.routes.rtvi import Candidate, as_fragment
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallerInterrupted,
    CallerRating,
    CallerText,
    CallerTurnEnded,
    CallRequest,
    TurnsByHand,
)
from apps.voice.doors.client_hand_over import TRANSFER_S
from apps.voice.doors.peer import MAX_ERRORS
from apps.voice.doors.rtvi.door import RtviDoor
from apps.voice.doors.rtvi.messages import LABEL, VERSION, Nothing, read_message
from apps.voice.doors.rtvi.sdp import declining, without_video
from apps.voice.doors.rtvi.translate import Telling, played, translate
from apps.voice.doors.webrtc.peer import ChannelText
from tests.virtual_time import run_virtual

SILENCE = b"\0" * 640


def message(kind, data=None, id="m1"):
    return json.dumps({"label": LABEL, "type": kind, "id": id, "data": data})


class Line:
    """A WebRTC connection of the tests': its texts and audio come from a script."""

    def __init__(self, *script):
        self.script = list(script)
        self.sent, self.frames = [], []
        self.flushed = self.closed = False
        self.stands = True

    async def events(self):
        for item in self.script:
            if isinstance(item, int | float):
                await asyncio.sleep(item)
            else:
                yield ChannelText(item) if isinstance(item, str) else item
        yield CallerHungUp()

    def send(self, text):
        self.sent.append(json.loads(text))

    def play(self, frame):
        self.frames.append(frame)

    def flush(self):
        self.flushed = True

    async def connected(self):
        return self.stands

    async def linger(self):
        await asyncio.sleep(0.5)

    async def close(self):
        self.closed = True

    def of(self, kind):
        return [sent for sent in self.sent if sent["type"] == kind]


def visit(*script):
    """Run a door over a script; return its events and the line."""
    line = Line(*script)

    async def scenario():
        door = RtviDoor(line, CallRequest())
        return [arrival async for arrival in door.events()]

    return run_virtual(scenario()), line


def request(name, data=None):
    return message("client-message", {"t": name, "d": data})


# --- the client


def test_what_a_client_sends_becomes_events():
    arrivals, line = visit(
        message("client-ready", {"version": "2.1.0", "about": {"library": "js"}}, id="r1"),
        "ping: 1700000000000",
        '{"type":"signalling","message":{"type":"trackStatus","receiver_index":0,"enabled":true}}',
        CallerAudio(SILENCE),
        message("send-text", {"content": " what does it cost ", "options": {}}),
        message("append-to-context", {"role": "user", "content": "hi", "run_immediately": True}),
        message("dtmf", {"buttons": ["1", "#"]}),
        message("dtmf", {"button": "0"}),
        message("ui-snapshot", {"tree": {}}),
        message("disconnect-bot", {}),
        message("send-text", {"content": "too late"}),
    )
    assert arrivals == [
        CallerAudio(SILENCE),
        CallerText("what does it cost"),
        CallerText("hi"),
        CallerDigit("1"),
        CallerDigit("#"),
        CallerDigit("0"),
        CallerHungUp(),
    ]
    [ready] = line.sent
    assert (ready["label"], ready["type"], ready["id"]) == (LABEL, "bot-ready", "r1")
    assert ready["data"]["version"] == VERSION


def test_an_application_s_requests_are_answered_under_their_id():
    arrivals, line = visit(
        request("rating", {"stars": 4}),
        request("interrupt"),
        request("turns_by_hand", {"on": True}),
        request("turn_ended"),
        request("turn_ended", {"discard": True}),
    )
    assert arrivals == [
        CallerRating(4),
        CallerInterrupted(),
        TurnsByHand(on=True),
        CallerTurnEnded(),
        CallerTurnEnded(discard=True),
        CallerHungUp(),
    ]
    assert [sent["type"] for sent in line.sent] == ["server-response"] * 5
    assert {sent["id"] for sent in line.sent} == {"m1"}
    assert line.sent[0]["data"] == {"t": "rating", "d": {"ok": True}}


@pytest.mark.parametrize(
    ("sent", "code", "kind"),
    [
        ("not json", "bad_json", "error"),
        ("[" * 60_000, "bad_json", "error"),
        ("[]", "unknown_message", "error"),
        ('{"label":"other","type":"x","id":"1"}', "unknown_message", "error"),
        (message("client-ready", {}, id=None), "bad_message", "error"),
        (message("client-ready", {}, id="x" * 101), "bad_message", "error"),
        (message("dance"), "unknown_message", "error-response"),
        (message("send-text", {"content": ""}), "bad_message", "error-response"),
        (message("send-text", {"content": "x" * 1001}), "bad_message", "error-response"),
        (message("send-text", {}), "bad_message", "error-response"),
        (
            message("send-text", {"content": "hi", "options": {"audio_response": False}}),
            "unsupported",
            "error-response",
        ),
        (message("append-to-context", {"role": "system"}), "unsupported", "error-response"),
        (message("dtmf", {"buttons": ["12"]}), "bad_message", "error-response"),
        (message("dtmf", {"buttons": [[]]}), "bad_message", "error-response"),
        (request("dance"), "unknown_message", "error-response"),
        (request("rating", {"stars": 9}), "unknown_message", "error-response"),
        (request("rating", {"stars": True}), "unknown_message", "error-response"),
        (request("turn_ended", 7), "unknown_message", "error-response"),
    ],
)
def test_bad_input_gets_its_code_and_the_call_goes_on(sent, code, kind):
    arrivals, line = visit(sent, message("dtmf", {"button": "1"}))
    [told] = line.sent
    assert (told["type"], told["data"]["code"]) == (kind, code)
    assert told["data"]["error"]
    assert arrivals == [CallerDigit("1"), CallerHungUp()]


def test_too_many_errors_end_the_call():
    arrivals, line = visit(*["x"] * 50)
    assert len(line.sent) == MAX_ERRORS + 1
    assert arrivals == [CallerHungUp(failed=True)]


# --- the call


def tell(*happenings, telling=None):
    telling, sent = telling or Telling(), []
    for kind, data in happenings:
        telling, messages = translate(telling, kind, data, 1_700_000_000.0)
        sent += messages
    return telling, sent


def said(text, turn_id=1):
    return "transcript.final", {"role": "assistant", "text": text, "turn_id": turn_id}


def kinds(messages):
    return [sent["type"] for sent in messages]


def test_the_caller_s_speech_is_told_in_rtvi_s_words():
    _, sent = tell(
        ("speech.started", {"role": "caller", "utterance": 1, "audio_ms": 10.0}),
        ("transcript.partial", {"role": "caller", "text": "what does"}),
        ("speech.ended", {"role": "caller", "utterance": 1, "audio_ms": 900.0}),
        ("transcript.final", {"role": "caller", "text": "what does it cost"}),
    )
    assert kinds(sent) == [
        "user-started-speaking",
        "user-transcription",
        "user-stopped-speaking",
        "user-transcription",
        "user-llm-text",
    ]
    assert sent[1]["data"]["final"] is False
    assert sent[3]["data"] == {
        "text": "what does it cost",
        "final": True,
        "timestamp": "2023-11-14T22:13:20.000+00:00",
        "user_id": "caller",
    }
    assert len({one["id"] for one in sent}) == len(sent)


def test_a_turn_of_the_assistant_begins_once_and_ends():
    telling, first = tell(said("It costs 30 euros."))
    telling, sound = played(telling)
    telling, more = tell(said("Cash."), telling=telling)
    telling, silence = played(telling)
    ended = ("speech.ended", {"role": "assistant", "turn_id": 1})
    telling, last = tell(ended, ended, telling=telling)
    assert kinds(first) == [
        "bot-llm-started",
        "bot-llm-text",
        "bot-output",
        "bot-transcription",
        "bot-tts-text",
    ]
    assert kinds(sound) == ["bot-tts-started", "bot-started-speaking"]
    assert kinds(more) == ["bot-llm-text", "bot-output", "bot-transcription", "bot-tts-text"]
    assert silence == []
    assert kinds(last) == [
        "bot-output",
        "bot-output",
        "bot-llm-stopped",
        "bot-tts-stopped",
        "bot-stopped-speaking",
    ]
    outputs = [one["data"] for one in (*first, *more, *last) if one["type"] == "bot-output"]
    assert [(out["segment_id"], out["spoken_status"]) for out in outputs] == [
        (1, "new"),
        (2, "new"),
        (1, "completed"),
        (2, "completed"),
    ]


def test_only_what_was_heard_of_an_interrupted_turn_is_completed():
    telling, _ = tell(said("It costs 30 euros."), said("Cash."))
    telling, _ = played(telling)
    _, sent = tell(("heard", {"turn_id": 1, "text": "It costs 30 euros. Ca"}), telling=telling)
    completed = [one["data"]["text"] for one in sent if one["type"] == "bot-output"]
    assert completed == ["It costs 30 euros."]
    assert kinds(sent)[-1] == "bot-stopped-speaking"


def test_another_turn_and_the_end_of_the_call_end_the_turn_before():
    telling, sent = tell(said("One moment."), said("Yes.", 2), ("call.ended", {"reason": "x"}))
    assert kinds(sent).count("bot-llm-started") == kinds(sent).count("bot-llm-stopped") == 2
    assert telling.turn_id is None


def test_latency_is_told_as_metrics_in_seconds():
    _, sent = tell(("turn.latency", {"turn_id": 1, "ms": 640, "stages": {"stt": 200}}))
    assert sent[0]["data"] == {
        "ttfb": [{"processor": "turn", "value": 0.64}],
        "processing": [{"processor": "stt", "value": 0.2}],
    }


def test_what_rtvi_has_no_message_for_reaches_the_application():
    _, sent = tell(("rating.asked", {"turn_id": 3}), ("error", {"code": "x", "message": "No."}))
    assert sent[0]["type"] == "server-message"
    assert sent[0]["data"] == {"type": "rating.asked", "turn_id": 3}
    assert sent[1]["data"] == {"error": "No.", "fatal": False, "message": "No."}


async def handing_over(answer):
    line = Line()
    door = RtviDoor(line, CallRequest())
    handing = asyncio.create_task(door.transfer("sip:desk@example.org", "Wants a plate."))
    await asyncio.sleep(0.1)
    [call] = line.of("llm-function-call-in-progress")
    result = {"function_name": "transfer_to_human", "tool_call_id": call["data"]["tool_call_id"]}
    if answer is not None:
        line.script = [1, message("llm-function-call-result", {**result, "result": answer})]
        async for _ in door.events():
            pass
    began = asyncio.get_running_loop().time()
    await handing
    return round(asyncio.get_running_loop().time() - began), call["data"]


def test_a_hand_over_calls_the_page_s_function_and_waits_for_its_result():
    waited, call = run_virtual(handing_over({"ok": True}))
    assert waited == 0
    assert call["function_name"] == "transfer_to_human"
    assert call["arguments"] == {"target": "sip:desk@example.org", "summary": "Wants a plate."}
    assert run_virtual(handing_over(None))[0] == round(TRANSFER_S)
    with pytest.raises(TransferFailed):
        run_virtual(handing_over({"error": "busy"}))


def test_hanging_up_says_that_the_bot_has_left():
    async def scenario():
        line = Line()
        door = RtviDoor(line, CallRequest())
        await door.play(SILENCE)
        await door.flush()
        await door.tell("state", {"state": "listening"})
        door.complain(TomError("A fault."))
        await door.close("completed")
        return line

    line = run_virtual(scenario())
    assert line.frames == [SILENCE]
    assert line.flushed
    assert line.closed
    assert line.of("error")[0]["data"]["fatal"] is True
    assert line.sent[-1] == {"type": "signalling", "message": {"type": "peerLeft"}}


@pytest.mark.parametrize("stands", [True, False])
def test_a_call_goes_on_over_another_connection_if_that_stands(stands):
    async def scenario():
        first, second = Line(1), Line(message("dtmf", {"button": "2"}))
        second.stands = stands
        door = RtviDoor(first, CallRequest())

        async def read():
            return [arrival async for arrival in door.events()]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.5)
        await door.move(second)
        await door.play(SILENCE)
        return first, second, await reading

    first, second, arrivals = run_virtual(scenario())
    assert first.closed
    assert (first.frames, second.frames) == ([], [SILENCE])
    expected = [CallerDigit("2"), CallerHungUp()] if stands else [CallerHungUp(failed=True)]
    assert arrivals == expected


# --- video


HEAD = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]


def section(kind, mid):
    protocol = (
        "UDP/DTLS/SCTP webrtc-datachannel" if kind == "application" else "UDP/TLS/RTP/SAVPF 96"
    )
    return [f"m={kind} 9 {protocol}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}"]


def sdp(kinds):
    bundle = " ".join(["a=group:BUNDLE", *map(str, range(len(kinds)))])
    lines = [*HEAD, bundle, *(line for i, kind in enumerate(kinds) for line in section(kind, i))]
    return "".join(line + "\r\n" for line in lines)


@given(st.lists(st.sampled_from(["audio", "video", "application"]), max_size=6))
def test_video_is_left_out_of_an_offer_and_declined_in_its_place(kinds):
    offer, declined = without_video(sdp(kinds))
    assert "m=video" not in offer
    [bundle] = [line for line in offer.splitlines() if "BUNDLE" in line]
    kept = [str(i) for i, kind in enumerate(kinds) if kind != "video"]
    assert bundle.split()[1:] == kept
    answer = declining(offer, declined)
    media = [line.split() for line in answer.splitlines() if line.startswith("m=")]
    assert [line[0] for line in media] == [f"m={kind}" for kind in kinds]
    assert all((line[1] == "0") == (line[0] == "m=video") for line in media)
    mids = [line for line in answer.splitlines() if line.startswith("a=mid:")]
    assert mids == [f"a=mid:{i}" for i in range(len(kinds))]


@given(st.text(max_size=300))
def test_any_text_can_be_an_offer_without_video(text):
    offer, declined = without_video(text)
    assert "m=video" not in "".join(line[:7] for line in offer.splitlines())
    declining(offer, declined)


def test_a_browser_s_candidates_become_a_fragment():
    given_out = [Candidate(candidate="candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=evil")]
    lines = as_fragment([*given_out, Candidate(candidate="")]).split("\r\n")
    assert lines[-1] == "a=end-of-candidates"
    assert not any("evil" in line for line in lines)


# --- reading

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
KINDS = ["client-ready", "send-text", "dtmf", "client-message", "llm-function-call-result"]
NAMES = ["content", "options", "buttons", "button", "t", "d", "tool_call_id", "result", "role"]


@settings(max_examples=150, deadline=None)
@given(
    st.text()
    | JSON.map(json.dumps)
    | st.builds(
        message,
        st.sampled_from([*KINDS, "append-to-context", "disconnect-bot", "ui-event"]),
        st.dictionaries(st.sampled_from(NAMES), JSON),
    )
)
def test_reading_never_fails_with_anything_but_a_protocol_error(raw):
    with suppress(ProtocolError):
        assert read_message(raw) is not None
    assert read_message("ping: " + raw) == Nothing()
