"""Whole calls in virtual time in which the caller speaks over an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.core.policy import BargeInSensitivity, PolicySlots
from apps.core.resources import resource
from apps.dispatcher.live_call import LiveCall
from apps.dispatcher.profile import load_profiles
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.services import CallOptions, Knowledge, Services
from apps.llm.answer import GroundedAnswerer
from apps.llm.spoken import spoken_form
from apps.voice.silero import silero_network
from apps.voice.vad import SileroVad
from benchmarks.interruptions.client import SAMPLES_PER_MS, SpeakingOver
from benchmarks.interruptions.engines import RecordedVoice, Recordings, ScriptedEar
from benchmarks.interruptions.measure import (
    Word,
    breaks_ms,
    heard_whole,
    silent_after_ms,
    words_heard,
    words_of,
)
from benchmarks.interruptions.sayings import QUESTIONS
from benchmarks.interruptions.sounds import Sound
from tests.calls import TUESDAY_MORNING, ListSink, StubSelector, knowledge
from tests.virtual_time import run_virtual

EARLIEST_MS = 300.0
LEFT_MS = 1500.0
"""The caller's sound begins at least so long after the answer, and so long before its end."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call.

    Attributes:
        sound: What the caller does over the answer.
        sensitivity: The policy's.
        echo: Whether the caller's microphone hears the assistant at -30 dB.
        marks: Whether the synthesiser marks its words.
    """

    sound: Sound
    sensitivity: BargeInSensitivity = BargeInSensitivity.MEDIUM
    echo: bool = False
    marks: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Attributes:
        case: What was tried.
        signals: What the ear decided from the caller's first sound on, with the milliseconds
            since then.
        silent_ms: From the caller's first sound to silence at the client; None if there was none.
        paused_ms: How long no sound was sent before the answer went on; None where it did not.
        barged_in: Whether the answer was broken off.
        whole: Of each word of the answer, whether it was heard at full level.
        heard: Words of the answer that were played.
        history: Words of the answer that the conversation holds as heard.
    """

    case: Case
    signals: tuple[tuple[str, float], ...]
    silent_ms: float | None
    paused_ms: float | None
    barged_in: bool
    whole: tuple[bool, ...]
    heard: int
    history: int


class Office:
    """Holds calls.

    Args:
        recordings: What the assistant says.
        seed: Another seed has the callers speak at other moments.
        questions: What callers ask first, in each language.
        knows: What answers them; the sample office's knowledge if None.
    """

    def __init__(
        self,
        recordings: Recordings,
        seed: int = 1,
        questions: Mapping[str, Sequence[str]] = QUESTIONS,
        knows: Knowledge | None = None,
    ) -> None:
        self._knowledge = knows or knowledge()
        self._recordings, self._seed, self._questions = recordings, seed, questions
        self._profiles = load_profiles(resource("profiles"))
        self._lengths_ms: dict[tuple[str, str], float] = {}

    def hold(self, case: Case) -> Outcome:
        """Hold one call and measure it."""
        sound = case.sound
        chance = sound.chance(self._seed)
        question = str(chance.choice(self._questions[sound.language]))
        length_ms = self._length_ms(question, sound.language)
        after_ms = float(chance.uniform(EARLIEST_MS, length_ms - LEFT_MS))
        ear, voice = ScriptedEar(), RecordedVoice(self._recordings, marks=case.marks)
        door = SpeakingOver(question, sound, after_ms, sound.language, ear, echo=case.echo)
        call, sink = run_virtual(self._call(door, ear, voice, case.sensitivity))
        return _outcome(case, door, call, sink, self._words(door, voice))

    def undisturbed(self, question: str, language: str) -> list[bool]:
        """Return of each word of an answer whether it is heard whole when nobody disturbs it."""
        door, voice = self._listened(question, language)
        begin = door.answer_begins or 0
        return heard_whole(door.client.recording(), self._words(door, voice), begin)

    def _length_ms(self, question: str, language: str) -> float:
        if (question, language) not in self._lengths_ms:
            door, _ = self._listened(question, language)
            played = len(door.client.recording()) - (door.answer_begins or 0)
            self._lengths_ms[question, language] = played / SAMPLES_PER_MS
        return self._lengths_ms[question, language]

    def _listened(self, question: str, language: str) -> tuple[SpeakingOver, RecordedVoice]:
        ear, voice = ScriptedEar(), RecordedVoice(self._recordings)
        door = SpeakingOver(question, None, 0.0, language, ear)
        run_virtual(self._call(door, ear, voice, BargeInSensitivity.MEDIUM))
        return door, voice

    async def _call(
        self,
        door: SpeakingOver,
        ear: ScriptedEar,
        voice: RecordedVoice,
        sensitivity: BargeInSensitivity,
    ) -> tuple[LiveCall, ListSink]:
        sink = ListSink()
        slots = PolicySlots(barge_in_sensitivity=sensitivity)
        services = Services(
            profiles=self._profiles,
            router=PolicyRouter(StubSelector(slots), b"k" * 32),  # type: ignore[arg-type]
            knowledge=self._knowledge,
            generator=GroundedAnswerer(),
            stt={"en": ear, "de": ear},
            tts={"en": voice, "de": voice},
            new_vad=lambda: SileroVad(silero_network()),
            log_sink=sink,
            clock=lambda: TUESDAY_MORNING,
        )
        session = await services.router.create("call_1", "kfz")
        options = CallOptions(
            self._profiles["kfz"], "de" if door.request.language == "de" else "en"
        )
        call = LiveCall(door, session, options, services)
        await call.run()
        return call, sink

    def _words(self, door: SpeakingOver, voice: RecordedVoice) -> list[Word]:
        """Return the words of the answer, as far as it was begun to be said."""
        language = door.request.language
        words: list[Word] = []
        for text in _said(door):
            reading = spoken_form(text, language)
            sentence = voice.spoken[reading]
            words += words_of(text, reading, sentence.pcm, sentence.marks, language)
        return words


def _said(door: SpeakingOver) -> list[str]:
    turn_id = _answer_turn(door)
    return [m["text"] for m in _assistant(door) if m["turn_id"] == turn_id]


def _answer_turn(door: SpeakingOver) -> int:
    """Return the turn after the greeting."""
    turns = list(dict.fromkeys(int(m["turn_id"]) for m in _assistant(door)))
    return turns[1]


def _assistant(door: SpeakingOver) -> list[Any]:
    finals = [m for m in door.told if m["type"] == "transcript.final"]
    return [m for m in finals if m["role"] == "assistant"]


def _outcome(
    case: Case, door: SpeakingOver, call: LiveCall, sink: ListSink, words: list[Word]
) -> Outcome:
    recording, begin = door.client.recording(), door.answer_begins or 0
    onset = (door.sound_begins or 0) + case.sound.first
    onset_ms = onset / SAMPLES_PER_MS
    breaks = breaks_ms(door.client.arrivals_ms, onset_ms)
    again_ms = breaks[0][1] if breaks else None
    broken_off_ms = next((r.at_ms for r in sink.records if r.kind == "fsm.barge_in"), np.inf)
    barged_in = broken_off_ms < np.inf
    resumed = again_ms is not None and again_ms < broken_off_ms
    until = len(recording) if again_ms is None else round(again_ms * SAMPLES_PER_MS)
    # What follows a barge-in may be the same answer, said again.
    next_ms = next((ms for ms in door.client.arrivals_ms if ms > broken_off_ms), None)
    answer = recording[: None if next_ms is None else round(next_ms * SAMPLES_PER_MS)]
    answers = {answer.turn_id: answer.exchange.answer for answer in call.conversation.answers}
    return Outcome(
        case,
        _signals(sink, onset_ms),
        silent_after_ms(recording, onset, until) if breaks or barged_in else None,
        breaks[0][1] - breaks[0][0] if resumed and breaks else None,
        barged_in,
        tuple(heard_whole(answer, words, begin)),
        words_heard(answer, words, begin),
        len(answers.get(_answer_turn(door), "").split()),
    )


def _signals(sink: ListSink, onset_ms: float) -> tuple[tuple[str, float], ...]:
    decided = [r for r in sink.records if r.kind == "ear.decided"]
    return tuple(
        (str(r.data["signal"]), r.at_ms - onset_ms) for r in decided if r.at_ms >= onset_ms - 500
    )
