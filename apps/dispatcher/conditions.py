"""Under what conditions a call was held, and what went wrong in it: a fold over its event log.

Learning needs both beside the reward: a noisy line or a slow hour makes calls worse without the
policy's doing, and a breaker must not wait for statistics when engines fail or callers leave.
Nothing here is anybody's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core.events import CallEvent, LogRecord
from apps.llm.grounding import Kind
from apps.store.feedback import Flag

NOISE_AT_FULL_SCALE_DB = 90.0
"""Sound pressure that 0 dBFS stands for: speech of telephony's nominal -26 dBFS is as loud as
somebody who speaks normally, about 64 dB at one metre."""

VOICE_PERCENT = 50
"""A window of which the detector is surer than that holds voice."""

MIN_FRAMES = 10
"""A shorter stretch of audio says nothing about the background behind the voice."""

_ENDS_ANSWER = frozenset(
    f"fsm.{kind.value}"
    for kind in (
        CallEvent.SPEECH_FINISHED,
        CallEvent.BARGE_IN,
        CallEvent.TRANSCRIPT,
        CallEvent.GOODBYE,
        CallEvent.HANDOVER_REQUESTED,
        CallEvent.TIME_LIMIT,
        CallEvent.FAILURE,
    )
)
_ENGINE_FAILED = frozenset(f"fsm.{k.value}" for k in (CallEvent.FAILURE, CallEvent.NOT_HEARD))


@dataclass(slots=True)
class _Mean:
    """A mean that grows."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1


@dataclass(slots=True)
class Conditions:
    """The conditions of one call so far.

    Attributes:
        answering: The assistant is in the middle of an answer.
        flags: What went wrong so far.
    """

    answering: bool = False
    flags: set[Flag] = field(default_factory=set)
    _means: Mapping[str, _Mean] = field(
        default_factory=lambda: {
            name: _Mean()
            for name in (
                *("stt_confidence", "latency_ms", "noise_db"),
                *("answer_quality", "answer_confidence"),
            )
        }
    )

    def take(self, record: LogRecord) -> None:
        """Take one record of the call's log (docs/events.md), in order."""
        if record.kind in _ENGINE_FAILED:
            self.flags.add(Flag.ENGINE_ERROR)
        if record.kind in _ENDS_ANSWER:
            self.answering = False
        match record.kind:
            case "fsm.answer_ready":
                self.answering = True
            case "transcript" if record.data["text"] and record.data["confidence"] is not None:
                self._means["stt_confidence"].add(record.data["confidence"])
            case "turn.latency":
                self._means["latency_ms"].add(record.data["ms"])
            case "answer.scored":
                self._means["answer_quality"].add(float(record.data["passed"]))
                self._means["answer_confidence"].add(record.data["substance"])
            case "answer.blocked" if any(v["kind"] == Kind.LEAK for v in record.data["violations"]):
                self.flags.add(Flag.UNSAFE)
            case "ear.windows":
                self._hear(record.data)

    def means(self) -> dict[str, float]:
        """Return the mean of each condition that is known, by its name in a context."""
        return {
            name: round(mean.total / mean.count, 3)
            for name, mean in self._means.items()
            if mean.count
        }

    def _hear(self, windows: Mapping[str, Any]) -> None:
        """Take the quietest frame for the background, where not all of it is voice."""
        levels = windows["dbfs"]
        if len(levels) >= MIN_FRAMES and min(windows["voice"]) < VOICE_PERCENT:
            self._means["noise_db"].add(max(0.0, min(levels) + NOISE_AT_FULL_SCALE_DB))
