"""What a recogniser is: one utterance of streamed audio in, partials and a final transcript out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ListenFor(StrEnum):
    """What the call expects to hear, so that an engine may narrow its grammar."""

    ANYTHING = "anything"
    RATING = "rating"


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How one utterance is to be recognised.

    Attributes:
        language: ``de`` or ``en``.
        profile: The profile whose vocabulary is likely.
        listen_for: Narrows the grammar.
        bias_words: Terms of the knowledge base that the engine should favour.
    """

    language: str
    profile: str
    listen_for: ListenFor = ListenFor.ANYTHING
    bias_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood.

    Attributes:
        text: The words; empty when nothing was understood.
        confidence: In [0, 1]; None where the engine does not tell.
        is_final: False for a partial hypothesis.
        model: Which model of the engine said so, e.g. ``domain``, ``general``, ``rating``.
        until_ms: How much of the utterance's audio a partial one rests on, from its beginning;
            None where the engine does not tell.
    """

    text: str
    confidence: float | None
    is_final: bool
    model: str = ""
    until_ms: float | None = None


OnPartial = Callable[[Transcript], None]


class Utterance(Protocol):
    """One utterance being recognised. Calls after ``finish`` or ``cancel`` do nothing."""

    def feed(self, pcm: bytes) -> None:
        """Add 16 kHz PCM; returns at once.

        Raises:
            EngineOverloaded: The engine is more than a few seconds behind.
            EngineDied: Its process ended.
        """
        ...

    async def finish(self) -> Transcript:
        """Say that the audio is complete and wait for the final transcript.

        Raises:
            EngineDied: Its process ended before it answered.
        """
        ...

    def cancel(self) -> None:
        """Give the utterance up and free what it holds in the engine."""
        ...


class SpeechToText(Protocol):
    """A recogniser shared by all calls."""

    name: str
    languages: frozenset[str]

    @property
    def ready(self) -> bool:
        """Whether it can take an utterance now; False while it is being restarted."""
        ...

    async def start(self) -> None:
        """Load and warm the engine; raises EngineUnavailable when it cannot serve."""
        ...

    def listen(self, options: ListenOptions, on_partial: OnPartial | None = None) -> Utterance:
        """Open one utterance; ``on_partial`` is called in the event loop."""
        ...

    async def close(self) -> None:
        """Stop the engine and its processes."""
        ...
