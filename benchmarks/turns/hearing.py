"""Runs one recording through turn-taking, window by window, and notes what was decided when."""

from __future__ import annotations

from dataclasses import dataclass, replace

from apps.voice.turn_events import (
    AllWords,
    Backchannel,
    BargeIn,
    CallerEnded,
    CallerStarted,
    FalseAlarm,
    Heard,
    Hold,
    Playback,
    Question,
    Signal,
    Window,
)
from apps.voice.turn_options import TurnOptions
from apps.voice.turn_taking import Floor, step
from apps.voice.vad import WINDOW_MS
from benchmarks.turns.oracle import Recogniser
from benchmarks.turns.sound import Recording


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided about one utterance, in milliseconds of audio; None for what never came.

    Attributes:
        started_ms: When the start was noticed.
        ended_ms: When the first end was declared.
        words: What the decider had of it then.
        hold_ms: When the assistant fell silent for the first time.
        barge_in_ms: When the caller was taken to interrupt.
        settled_ms: When a hold was taken back.
        settled_as: ``FalseAlarm`` or ``Backchannel``, else empty.
    """

    started_ms: float | None = None
    ended_ms: float | None = None
    words: str = ""
    hold_ms: float | None = None
    barge_in_ms: float | None = None
    settled_ms: float | None = None
    settled_as: str = ""


def listen(recording: Recording, recogniser: Recogniser | None, options: TurnOptions) -> Outcome:
    """Return what turn-taking makes of a recording; without a recogniser it hears no words."""
    return _Listening(recording, recogniser, options).run()


class _Listening:
    def __init__(
        self, recording: Recording, recogniser: Recogniser | None, options: TurnOptions
    ) -> None:
        utterance = recording.utterance
        self._recording, self._recogniser = recording, recogniser
        self._options = replace(options, language=utterance.language)
        self._floor = Floor()
        self._outcome = Outcome()
        self._final: tuple[float, AllWords] | None = None
        self._now_ms = 0.0
        self._take(Question(utterance.expecting, utterance.digits))
        self._take(Playback(interruptible=not utterance.is_turn))

    def run(self) -> Outcome:
        for number, probability in enumerate(self._recording.probabilities):
            self._now_ms = float((number + 1) * WINDOW_MS)
            if self._final is not None and self._final[0] <= self._now_ms:
                self._take(self._final[1])
                return self._outcome
            partial = self._recogniser.partial(self._now_ms) if self._recogniser else None
            if partial is not None:
                self._take(partial)
            self._take(Window(self._now_ms, WINDOW_MS, probability))
            if self._recording.utterance.is_turn and self._outcome.ended_ms is not None:
                break
        return self._outcome

    def _take(self, heard: Heard) -> None:
        words = self._floor.words
        self._floor, signals = step(self._floor, heard, self._options)
        for signal in signals:
            self._note(signal, words)

    def _note(self, signal: Signal, words: str) -> None:
        now = self._now_ms
        match signal:
            case CallerStarted() if self._outcome.started_ms is None:
                self._outcome = replace(self._outcome, started_ms=now)
            case CallerEnded() if self._outcome.ended_ms is None:
                self._outcome = replace(self._outcome, ended_ms=now, words=words)
                if self._recogniser and not self._recording.utterance.is_turn:
                    self._final = self._recogniser.final(now)
            case Hold() if self._outcome.hold_ms is None:
                self._outcome = replace(self._outcome, hold_ms=now)
            case BargeIn() if self._outcome.barge_in_ms is None:
                self._outcome = replace(self._outcome, barge_in_ms=now)
                self._take(Playback(interruptible=False))
            case FalseAlarm() | Backchannel():
                kind = type(signal).__name__
                self._outcome = replace(self._outcome, settled_ms=now, settled_as=kind)
            case _:
                pass
