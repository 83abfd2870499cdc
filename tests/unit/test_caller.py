"""The caller made of audio files, `tom call` and `tom chat`, against a scripted assistant."""

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from typer.testing import CliRunner
from websockets.asyncio.server import serve

from apps.cli import app, caller
from apps.cli.caller import Caller, Line, call_address
from apps.core.errors import TomError
from apps.voice.audiofile import write_wav

TONE = (8000 * np.sin(np.arange(1600) * 2 * np.pi * 200 / 16000)).astype(np.int16)  # 100 ms
PAUSE = np.zeros(3200, np.int16)
VOICE = TONE[:320].tobytes()
STARTED = {
    "type": "call.started",
    "call_id": "call_1",
    "profile": "kfz",
    "language": "en",
    "engines": {"stt": "fake"},
    "listening": True,
    "policy_variant": "v1a",
    "propensity": 0.9,
    "slots": {"tone": "warm"},
    "why": "because",
    "probabilities": {"v1a": 1.0},
}
REWARD = {
    "type": "reward",
    "value": 0.5,
    "components": {"resolution": 0.6},
    "missing": ["user_rating"],
    "probabilities": {"v1a": 1.0},
}
ENDED = {"type": "call.ended", "reason": "completed", "duration_s": 1.0}


@dataclass
class Assistant:
    """Answers every utterance with 200 ms of voice; asks for a rating when told goodbye."""

    refuses: bool = False
    cuts: bool = False
    start: dict = field(default_factory=dict)
    texts: list = field(default_factory=list)
    ratings: list = field(default_factory=list)
    utterances: list = field(default_factory=list)
    broke_in: bool = False
    hung_up: bool = False
    reply: asyncio.Task | None = None

    async def __call__(self, socket):
        self.start = json.loads(await socket.recv())
        if self.refuses:
            error = {"type": "error", "code": "busy", "message": "All lines are busy.", "hint": ""}
            await socket.send(json.dumps(error))
            return
        await socket.send(json.dumps(STARTED))
        await self.become(socket, "listening")
        heard = quiet = 0
        async for message in socket:
            if self.cuts:
                return
            if isinstance(message, str):
                if await self.control(socket, json.loads(message)):
                    return
                continue
            is_voice = any(message)
            if is_voice and self.state == "speaking":
                self.broke_in = True
                self.reply.cancel()
            heard, quiet = heard + is_voice, 0 if is_voice else quiet + 1
            if heard and quiet == 2:
                self.utterances.append(heard)
                heard = 0
                if self.state == "awaiting_rating":
                    await self.end(socket)
                    return
                self.reply = asyncio.create_task(self.answer(socket))

    async def control(self, socket, message):
        if message["type"] == "text":
            self.texts.append(message["text"])
            await self.become(socket, "awaiting_rating")
            return False
        if message["type"] == "rating":
            self.ratings.append(message["stars"])
        self.hung_up = message["type"] == "hangup"
        await self.end(socket)
        return True

    async def become(self, socket, state):
        self.state = state
        await socket.send(json.dumps({"type": "state", "state": state}))

    async def answer(self, socket):
        said = {"type": "transcript.final", "role": "assistant", "text": "Yes.", "sources": ["a#b"]}
        await socket.send(json.dumps({**said, "turn_id": 2}))
        await self.become(socket, "speaking")
        latency = {"type": "turn.latency", "ms": 1.0, "stages": {"stt": 1.0}}
        await socket.send(json.dumps(latency))
        for _ in range(10):
            await socket.send(VOICE)
            await asyncio.sleep(0.02)
        await socket.send(json.dumps({"type": "audio.clear"}))
        await self.become(socket, "listening")

    async def end(self, socket):
        await socket.send(json.dumps({"type": "rating", "stars": 4}))
        await socket.send(json.dumps(REWARD))
        await socket.send(json.dumps(ENDED))


@contextmanager
def answering(assistant):
    """Run the assistant in a thread of its own; yields its address."""
    loop, up = asyncio.new_event_loop(), threading.Event()
    address, stop = [], asyncio.Event()

    async def run():
        async with serve(assistant, "127.0.0.1", 0) as server:
            address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert up.wait(10)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def quick_caller(monkeypatch):
    monkeypatch.setattr(caller, "THINK_MS", 20.0)


@pytest.fixture
def spoken(tmp_path):
    """A WAV file with a short utterance."""
    path = tmp_path / "question.wav"
    write_wav(path, np.concatenate([TONE, PAUSE]))
    return path


def make_call(assistant, lines, rating=None, **start):
    events = []
    with answering(assistant) as url:
        made = Caller(url, lines, rating, start, events.append)
        asyncio.run(made.call())
    return made, events


def test_every_line_is_said_when_the_assistant_listens_and_then_the_caller_hangs_up():
    assistant = Assistant()
    _, events = make_call(assistant, [Line(TONE), Line(TONE)], language="en")
    assert assistant.utterances == [5, 5]
    assert assistant.hung_up
    assert not assistant.broke_in
    assert assistant.start == {"type": "start", "observe": True, "language": "en"}
    assert events[-1] == ENDED


def test_silence_at_the_end_of_a_file_is_not_waited_for():
    assistant = Assistant()
    make_call(assistant, [Line(np.concatenate([TONE, PAUSE]))])
    assert assistant.utterances == [5]


def test_latency_is_measured_from_the_last_sound_said_to_the_first_sound_heard():
    made, events = make_call(Assistant(), [Line(TONE)])
    (latency,) = [event for event in events if event["type"] == "turn.latency"]
    assert latency["ms"] > 20.0  # the assistant waits for two quiet frames
    assert latency["stages"] == {"stt": 1.0}
    assert len(made.lateness_ms) == 10
    assert made.lateness_ms[0] == 0.0


def test_a_line_may_break_in():
    assistant = Assistant()
    make_call(assistant, [Line(TONE), Line(TONE, break_in_ms=40.0)])
    assert assistant.broke_in
    assert len(assistant.utterances) == 2


@pytest.mark.parametrize(("language", "goodbye"), [("en", "goodbye"), ("de", "auf Wiederhören")])
def test_stars_are_given_after_a_goodbye_in_the_call_s_language(language, goodbye):
    assistant = Assistant()
    make_call(assistant, [Line(TONE)], 4, language=language)
    assert (assistant.texts, assistant.ratings) == ([goodbye], [4])


def test_a_rating_may_be_spoken():
    assistant = Assistant()
    make_call(assistant, [Line(TONE)], TONE)
    assert (assistant.texts, assistant.ratings) == (["goodbye"], [])
    assert assistant.utterances == [5, 5]


def test_a_call_that_is_not_taken_is_told_as_the_server_says_it():
    made, events = make_call(Assistant(refuses=True), [Line(TONE)])
    assert made.refused.code == "busy"
    assert events == []


def test_a_connection_that_is_cut_is_no_good_end():
    with pytest.raises(TomError) as error:
        make_call(Assistant(cuts=True), [Line(TONE)])
    assert error.value.code == "cut_off"


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(TomError) as error:
        asyncio.run(Caller("ws://127.0.0.1:9", [Line(TONE)]).call())
    assert error.value.code == "unreachable"


@pytest.mark.parametrize(
    "url",
    ["http://h:1", "http://h:1/", "ws://h:1", "ws://h:1/v1/call"],
)
def test_any_form_of_a_server_s_address_will_do(url):
    assert call_address(url) == "ws://h:1/v1/call"


def test_a_server_behind_tls_is_called_through_tls():
    assert call_address("https://h") == "wss://h/v1/call"


# --- the commands


def tom(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def test_tom_call_prints_one_json_object_a_line_for_programs(spoken):
    with answering(Assistant()) as url:
        done = tom("call", spoken, spoken, "--url", url, "--rating", "4", "--json")
    assert done.exit_code == 0, done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["type"] for event in events]
    assert {"call.started", "transcript.final", "turn.latency", "rating"} <= set(kinds)
    assert kinds[-2:] == ["reward", "call.ended"]
    assert {"policy_variant", "propensity"} <= set(events[0])


def test_tom_call_prints_a_conversation_for_people(spoken):
    assistant = Assistant()
    with answering(assistant) as url:
        arguments = ("call", spoken, "--url", url, "--lang", "en", "--profile", "kfz")
        done = tom(*arguments, "--rating", spoken)
    assert done.exit_code == 0, done.output
    assert assistant.start["profile"] == "kfz"
    for shown in ("v1a: tone warm", "Yes.", "[a#b]", "4 of 5", "+0.500", "ended: completed"):
        assert shown in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rating", "7"], "Ratings are 1 to 5"),
        (["--rating", "nowhere.wav"], "neither 1 to 5 nor a file"),
        (["--url", "ws://127.0.0.1:9"], "No TOM answers"),
    ],
)
def test_tom_call_tells_what_is_wrong_and_exits_with_1(spoken, arguments, said):
    done = tom("call", spoken, *arguments)
    assert done.exit_code == 1
    assert said in done.stderr


def test_tom_call_tells_of_a_refusal_and_exits_with_1(spoken):
    with answering(Assistant(refuses=True)) as url:
        done = tom("call", spoken, "--url", url)
    assert (done.exit_code, "All lines are busy." in done.stderr) == (1, True)


def test_tom_call_wants_audio(tmp_path):
    text = tmp_path / "note.txt"
    text.write_text("no sound")
    assert tom("call", text, "--url", "ws://127.0.0.1:9").exit_code == 1


def test_tom_chat_shows_the_answers():
    assistant = Assistant()
    with answering(assistant) as url:
        done = tom("chat", "--url", url, input="bye\n")
    assert done.exit_code == 0, done.output
    assert assistant.texts == ["bye"]
    assert "ended: completed" in done.stdout
