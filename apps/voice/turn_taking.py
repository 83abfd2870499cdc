"""When the caller has started, has finished, or means to interrupt: a pure decider.

Time arrives as the audio's own: every VAD window carries the moment at which it ended, counted in
milliseconds of audio since the call began, so a recorded call decides the same way again.

    voice      ____######___#####____________________
    started    ______^            (start_ms of voice)
    ended      __________________________^   (endpoint_ms of silence after the last voice)
    barge-in   ________^   (barge_in_ms of voice while the assistant may be interrupted)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from apps.core.policy import BargeInSensitivity

BARGE_IN_MS = {
    BargeInSensitivity.LOW: 700.0,
    BargeInSensitivity.MEDIUM: 400.0,
    BargeInSensitivity.HIGH: 200.0,
}


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """All options of turn-taking, with their defaults.

    Attributes:
        voice_on: A window at or above this probability is voice.
        voice_off: A window below this is silence; between the two it is what it was before.
        start_ms: Voice that makes a start; shorter noises are ignored.
        endpoint_ms: Silence after the last voice that makes an end (TOM_ENDPOINT_SILENCE_MS).
        barge_in_ms: Voice over the assistant that makes a barge-in. The policy slot
            `barge_in_sensitivity` governs it: low 700, medium 400, high 200.
        max_utterance_ms: An utterance is cut here, so that no engine runs without end.
    """

    voice_on: float = 0.5
    voice_off: float = 0.35
    start_ms: float = 64.0
    endpoint_ms: float = 500.0
    barge_in_ms: float = BARGE_IN_MS[BargeInSensitivity.MEDIUM]
    max_utterance_ms: float = 30_000.0


@dataclass(frozen=True, slots=True)
class Window:
    """One VAD window.

    Attributes:
        end_ms: When it ended, in audio time.
        length_ms: How long it is.
        probability: Of voice, in [0, 1].
        interruptible: Whether the assistant is speaking something that may be interrupted.
    """

    end_ms: float
    length_ms: float
    probability: float
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The caller's voice began at `at_ms`."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class CallerEnded:
    """The caller has finished; the last voice ended at `last_voice_ms`."""

    last_voice_ms: float


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The caller means to interrupt."""

    at_ms: float


TurnSignal = CallerStarted | CallerEnded | BargeIn


@dataclass(frozen=True, slots=True)
class Floor:
    """What turn-taking remembers: who has the floor.

    Attributes:
        speaking: Whether the caller is in an utterance.
        voiced: Whether the latest window counted as voice.
        voice_began_ms: Start of the present run of voice (before a start is certain).
        run_ms: Length of that run.
        started_ms: Start of the present utterance.
        voice_ms: Voice in the present utterance while the assistant could be interrupted.
        last_voice_ms: End of the latest voice.
        interrupted: Whether this utterance has been called a barge-in already.
    """

    speaking: bool = False
    voiced: bool = False
    voice_began_ms: float = 0.0
    run_ms: float = 0.0
    started_ms: float = 0.0
    voice_ms: float = 0.0
    last_voice_ms: float = 0.0
    interrupted: bool = False


def step(floor: Floor, window: Window, options: TurnOptions) -> tuple[Floor, list[TurnSignal]]:
    """Take one VAD window in and return what follows from it."""
    threshold = options.voice_off if floor.voiced else options.voice_on
    voiced = window.probability >= threshold
    floor = _note_voice(floor, window, voiced)
    signals: list[TurnSignal] = []
    if not floor.speaking and voiced and floor.run_ms >= options.start_ms:
        floor = replace(
            floor,
            speaking=True,
            started_ms=floor.voice_began_ms,
            voice_ms=floor.run_ms if window.interruptible else 0.0,
            interrupted=False,
        )
        signals.append(CallerStarted(floor.started_ms))
    elif floor.speaking and voiced and window.interruptible:
        floor = replace(floor, voice_ms=floor.voice_ms + window.length_ms)
    if _is_barge_in(floor, window, options):
        floor = replace(floor, interrupted=True)
        signals.append(BargeIn(window.end_ms))
    if floor.speaking and _has_ended(floor, window, options):
        floor = replace(floor, speaking=False, voiced=False, run_ms=0.0)
        signals.append(CallerEnded(floor.last_voice_ms))
    return floor, signals


def _note_voice(floor: Floor, window: Window, voiced: bool) -> Floor:
    if not voiced:
        return replace(floor, voiced=False, run_ms=0.0)
    began = floor.voice_began_ms if floor.voiced else window.end_ms - window.length_ms
    return replace(
        floor,
        voiced=True,
        voice_began_ms=began,
        run_ms=window.end_ms - began,
        last_voice_ms=window.end_ms,
    )


def _is_barge_in(floor: Floor, window: Window, options: TurnOptions) -> bool:
    return (
        floor.speaking
        and window.interruptible
        and not floor.interrupted
        and floor.voice_ms >= options.barge_in_ms
    )


def _has_ended(floor: Floor, window: Window, options: TurnOptions) -> bool:
    silence_ms = window.end_ms - floor.last_voice_ms
    too_long = window.end_ms - floor.started_ms >= options.max_utterance_ms
    return silence_ms >= options.endpoint_ms or too_long
