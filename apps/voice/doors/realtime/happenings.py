"""What happens in TOM's call, as far as a Realtime client is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Moved:
    """The call is in another state."""

    state: str


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller's voice began at `audio_ms` of the caller's audio."""

    utterance: int
    audio_ms: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The caller has finished; the last sound ended at `audio_ms`."""

    utterance: int
    audio_ms: float


@dataclass(frozen=True, slots=True)
class Understood:
    """The caller's words, so far or finally."""

    utterance: int
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the assistant's that is about to be heard."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Played:
    """Audio of the assistant's: base64 in the session's output format."""

    audio: str
    length_ms: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """The client is to drop what it has not played."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The caller has heard all of a turn."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A turn was silenced; `heard` are the words of it that the caller had heard."""

    turn_id: int
    heard: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The caller is to be connected to a person."""

    target: str
    summary: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over."""

    reason: str


Happening = (
    Moved
    | SpeechStarted
    | SpeechEnded
    | Understood
    | Said
    | Played
    | Dropped
    | Finished
    | Interrupted
    | HandedOver
    | Ended
)


def read_happening(kind: str, data: Mapping[str, Any]) -> Happening | None:
    """Read a live event of the call; None for what the protocol has no word for."""
    match kind, data:
        case "state", {"state": str(state)}:
            return Moved(state)
        case "speech.started", {"role": "caller", "utterance": utterance, "audio_ms": audio_ms}:
            return SpeechStarted(utterance, audio_ms)
        case "speech.ended", {"role": "caller", "utterance": utterance, "audio_ms": audio_ms}:
            return SpeechEnded(utterance, audio_ms)
        case "speech.ended", {"role": "assistant", "turn_id": turn_id}:
            return Finished(turn_id)
        case "transcript.partial", {"role": "caller", "utterance": utterance, "text": text}:
            return Understood(utterance, text, final=False)
        case "transcript.final", {"role": "caller", "utterance": utterance, "text": text}:
            return Understood(utterance, text, final=True)
        case "transcript.final", {"role": "assistant", "turn_id": turn_id, "text": text}:
            return Said(turn_id, text)
        case "heard", {"turn_id": turn_id, "text": text}:
            return Interrupted(turn_id, text)
        case "call.ended", {"reason": str(reason)}:
            return Ended(reason)
    return None
