"""What a timeline shows: a call's records as spans, marks and curves in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Curve = tuple[tuple[float, float], ...]
"""Points of time in milliseconds and height in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted.

    Attributes:
        from_ms: When it began, in milliseconds since the call began.
        to_ms: When it was over.
        kind: What it was; decides how it looks.
        label: What is written on it.
        about: What is told of it on request.
    """

    from_ms: float
    to_ms: float
    kind: str
    label: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at `at_ms`; `label` and `about` as of a `Span`."""

    at_ms: float
    kind: str
    label: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the assistant.

    Attributes:
        turn_id: Its id.
        at_ms: When its first frame was sent, or when it began where that is not known.
        asked: What it answers.
        said: What it said, sentence by sentence.
        waited_ms: From the caller's last sound to its first frame; None where nobody waited.
        stages: Each stage's share of that.
        notes: What else happened to it.
    """

    turn_id: int
    at_ms: float
    asked: str = ""
    said: tuple[str, ...] = ()
    waited_ms: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A call as it is drawn.

    Attributes:
        length_ms: How long it lasted.
        facts: What is known of it as a whole, by name.
        caller_level: The caller's level: 0 at -60 dB relative to full scale, 1 at 0 dB.
        voice: The probability of voice.
        utterances: ``voice`` while the caller spoke, ``wait`` until the end was decided.
        partials: What the recogniser added to its words, as it came.
        finals: Final transcripts, from their utterance's beginning.
        decisions: What turn-taking decided.
        states: The call's states.
        turns: The assistant's turns.
        guesses: Speculation: ``used``, ``wasted``, or ``open`` where the log does not say.
        assistant_level: The assistant's level, as the caller's.
        sentences: What the assistant said; each from when it was handed to the mouth.
        holds: Where the assistant fell silent to find out whether it was interrupted.
    """

    length_ms: float
    facts: Mapping[str, str]
    caller_level: Curve = ()
    voice: Curve = ()
    utterances: tuple[Span, ...] = ()
    partials: tuple[Mark, ...] = ()
    finals: tuple[Span, ...] = ()
    decisions: tuple[Mark, ...] = ()
    states: tuple[Span, ...] = ()
    turns: tuple[Turn, ...] = ()
    guesses: tuple[Span, ...] = ()
    assistant_level: Curve = ()
    sentences: tuple[Span, ...] = ()
    holds: tuple[Span, ...] = ()
