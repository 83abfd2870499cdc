"""Whole event logs of scripted calls, to the millisecond: no change of a call goes unnoticed."""

import asyncio
import json

import pytest

from apps.core.errors import EngineDied
from apps.core.events import LogRecord
from apps.dispatcher.replay import replay
from apps.voice.stt.base import Transcript
from apps.voice.stt.fake import FakeStt, FakeUtterance
from apps.voice.tts.fake import FakeTts
from tests.calls import CallerHungUp, ScriptedDoor, hold_call
from tests.snapshot import FOLDER, Snapshots, line
from tests.virtual_time import run_virtual

QUESTION = "what documents do i need to register a used car"
LISTEN, SPEAK, RATE = "listening", "speaking", "awaiting_rating"
WORD_MS, LATENCY_S = 160, 0.1
FRAME_MS = 20


class PacedStt(FakeStt):
    """Tells a word of its line every 160 ms, and up to where it has heard; answers after 100 ms."""

    def __init__(self, *lines, deaths=0):
        super().__init__(lines, latency_s=LATENCY_S)
        self.deaths = deaths

    def listen(self, options, on_partial=None):
        self.heard.append(options)
        return PacedUtterance(self, on_partial)


class PacedUtterance(FakeUtterance):
    def __init__(self, engine, on_partial):
        super().__init__(engine, None)
        self._tell, self._heard_ms = on_partial, 0
        self._words = []

    def feed(self, pcm):
        super().feed(pcm)
        self._words = self._words or self._text.split()
        self._heard_ms += FRAME_MS
        told, more = divmod(self._heard_ms, WORD_MS)
        if not more and self._tell is not None:
            text = " ".join(self._words[:told])
            self._tell(Transcript(text, 0.0, is_final=False, until_ms=float(self._heard_ms)))

    async def finish(self):
        if self._engine.deaths:
            self._engine.deaths -= 1
            raise EngineDied("gone")
        return await super().finish()


class PacedTts(FakeTts):
    """Takes 100 ms to the first sound of a sentence, as an engine would."""

    async def synthesise(self, text, style):
        await asyncio.sleep(LATENCY_S)
        async for chunk in super().synthesise(text, style):
            yield chunk


def after(state, ms):
    """A cue: the call has been in this state for so long, with the caller silent."""
    looks = [0]

    def cue(door):
        waits = door.state == state and door._voice_left <= 0
        looks[0] = looks[0] + FRAME_MS if waits else 0
        return looks[0] > ms

    return cue


# What the caller does, and what the recogniser and its failures are; made anew for each call.
CALLS = {
    "question-follow-up-rating": lambda: (
        [(LISTEN, 1900), (LISTEN, 1200), (LISTEN, 800), (RATE, 500)],
        PacedStt(QUESTION, "and how much does that cost", "thank you goodbye", "four"),
    ),
    "pause-in-the-question": lambda: (
        [(LISTEN, 900), (after("hearing", 140), 1100), (LISTEN, CallerHungUp())],
        PacedStt(QUESTION),
    ),
    "barge-in": lambda: (
        [(LISTEN, 1900), (after(SPEAK, 2000), 1400), (LISTEN, CallerHungUp())],
        PacedStt(QUESTION, "can i come without an appointment"),
    ),
    "cough-and-agreement": lambda: (
        [
            (LISTEN, 1900),
            (after(SPEAK, 1500), 140),
            (after(SPEAK, 1500), 300),
            (LISTEN, CallerHungUp()),
        ],
        PacedStt(QUESTION, "", "mhm"),
    ),
    "hand-over": lambda: (
        [(LISTEN, 1900), (LISTEN, 1300)],
        PacedStt(QUESTION, "let me talk to a human agent please"),
    ),
    "recogniser-fails": lambda: (
        [(LISTEN, 1900), (LISTEN, 1900), (LISTEN, CallerHungUp())],
        PacedStt("lost", QUESTION, deaths=1),
    ),
    "hang-up-in-the-answer": lambda: (
        [(LISTEN, 1900), (after(SPEAK, 1500), CallerHungUp())],
        PacedStt(QUESTION),
    ),
}


def held(name):
    script, stt = CALLS[name]()
    return run_virtual(hold_call(ScriptedDoor(*script), stt=stt, tts=PacedTts())).sink.records


@pytest.mark.parametrize("name", CALLS)
def test_a_call_goes_as_it_went_before(name, snapshots):
    records = held(name)
    snapshots.check(name, records)
    assert replay(records).differences == ()  # and its log decides the same again


def test_every_snapshot_is_of_a_call_that_is_held():
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == set(CALLS)


# --- the comparison itself


def records(text="a"):
    return [
        LogRecord(0, 0.0, "ear.windows", None, {"until_ms": 64.0, "voice": [0, 0, 97]}),
        LogRecord(1, 20.0, "partial", None, {"text": text}),
    ]


def test_equal_neighbours_in_a_list_are_counted():
    assert json.loads(line(records()[0]))["data"] == {"until_ms": 64.0, "voice": "0x2 97x1"}


def test_a_snapshot_that_is_missing_is_no_success(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="--snapshot-update"):
        Snapshots(tmp_path, update=False).check("call", records())
    assert not list(tmp_path.iterdir())


def test_a_change_is_shown_until_it_is_accepted(tmp_path):
    Snapshots(tmp_path, update=True).check("call", records())
    keep = Snapshots(tmp_path, update=False)
    keep.check("call", records())
    with pytest.raises(pytest.fail.Exception, match=r'(?s)-.*"text": "a".*\+.*"text": "b"'):
        keep.check("call", records("b"))
    Snapshots(tmp_path, update=True).check("call", records("b"))
    keep.check("call", records("b"))
