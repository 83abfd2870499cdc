"""From what a caller said and heard to figures: pure functions over times in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

GAP_MS = 200.0
"""Silence that parts two stretches of the assistant's voice."""


@dataclass(slots=True)
class Heard:
    """One message of audio at the caller's end.

    Attributes:
        arrived_ms: When it came.
        begin_ms: When the caller's side plays it: at once, or after what came before it.
        end_ms: When it has been played, or dropped by a `clear`.
        audible: Whether it is louder than -50 dBFS.
        answer: Which schedule it belongs to: a new one begins whenever the caller begins or ends
            a line, and after a `clear`.
    """

    arrived_ms: float
    begin_ms: float
    end_ms: float
    audible: bool
    answer: int


@dataclass(frozen=True, slots=True)
class Said:
    """One line that the caller said: from its first sound to the end of its last."""

    name: str
    barge_in: bool
    begin_ms: float
    end_ms: float


@dataclass(slots=True)
class Playout:
    """The caller's loudspeaker: it plays what comes in order, and drops what is cleared."""

    heard: list[Heard] = field(default_factory=list)
    free_ms: float = 0.0
    audible_until_ms: float = 0.0

    def push(self, at_ms: float, length_ms: float, audible: bool, answer: int) -> None:
        """Take a message that has just come."""
        begin = max(at_ms, self.free_ms)
        self.free_ms = begin + length_ms
        self.heard.append(Heard(at_ms, begin, self.free_ms, audible, answer))
        if audible:
            self.audible_until_ms = self.free_ms

    def clear(self, at_ms: float) -> None:
        """Drop what has not been played yet."""
        for message in reversed(self.heard):
            if message.end_ms <= at_ms:
                break
            message.begin_ms = min(message.begin_ms, at_ms)
            message.end_ms = at_ms
        self.free_ms = min(self.free_ms, at_ms)
        self.audible_until_ms = min(self.audible_until_ms, at_ms)


def stretches(heard: Iterable[Heard]) -> list[tuple[float, float]]:
    """Return when the assistant's voice was heard: from and until, in order."""
    found: list[tuple[float, float]] = []
    for message in heard:
        if not message.audible or message.end_ms <= message.begin_ms:
            continue
        if found and message.begin_ms - found[-1][1] < GAP_MS:
            found[-1] = (found[-1][0], message.end_ms)
        else:
            found.append((message.begin_ms, message.end_ms))
    return found


def is_cut(said: Said, voice: Sequence[tuple[float, float]]) -> bool:
    """Tell whether the assistant began to speak before the caller had finished."""
    return any(said.begin_ms < begin < said.end_ms for begin, _ in voice)


def voice_to_voice_ms(
    said: Said, voice: Sequence[tuple[float, float]], until_ms: float
) -> float | None:
    """Return the wait for the answer; None when the line was cut, or there was no answer."""
    begins = [begin for begin, _ in voice if said.end_ms <= begin < until_ms]
    return begins[0] - said.end_ms if begins and not is_cut(said, voice) else None


def stop_ms(said: Said, voice: Sequence[tuple[float, float]]) -> float | None:
    """Return how long the assistant was heard after a barge-in's first sound."""
    if not said.barge_in:
        return None
    return next((end - said.begin_ms for begin, end in voice if begin < said.begin_ms < end), None)


def lateness_ms(heard: Iterable[Heard]) -> list[float]:
    """Return how late each message came, against a schedule that its answer's first one sets.

    What is ahead of its schedule is not late: 0.
    """
    late: list[float] = []
    answer, due = -1, 0.0
    for message in heard:
        if message.answer != answer:
            answer, due = message.answer, message.arrived_ms
        late.append(max(0.0, message.arrived_ms - due))
        due += message.end_ms - message.begin_ms
    return late


def percentile(values: Sequence[float], rank: float) -> float | None:
    """Return a percentile, or None of nothing."""
    return round(float(np.percentile(values, rank)), 1) if values else None


def percentile_of_counts(counts: Mapping[float, int], rank: float) -> float | None:
    """Return a percentile of values of which each came so many times, or None of nothing."""
    total, seen = sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= total * rank / 100:
            return value
    return None
