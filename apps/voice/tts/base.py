"""What a synthesiser is: one sentence in, PCM out as it is made, with its words marked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SpeechStyle:
    """How a sentence is to be spoken.

    Attributes:
        language: ``de`` or ``en``.
        voice: The engine's voice name; empty for its default in that language.
        rate: Speed relative to the voice's own, 0.5 to 2.0.
        pitch: Pitch relative to the voice's own, 0.5 to 2.0; engines without pitch ignore it.
    """

    language: str
    voice: str = ""
    rate: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where a word begins in a sentence's audio.

    Attributes:
        word: Its index, counted from 0 as `str.split` does, in the text that is spoken.
        at_ms: The moment, from the beginning of the sentence's audio.
    """

    word: int
    at_ms: float


Speech = AsyncGenerator[bytes | WordMark, None]


async def pcm_of(speech: Speech) -> bytes:
    """Return all PCM of a sentence, without its marks."""
    async with aclosing(speech) as pieces:
        return b"".join([piece async for piece in pieces if isinstance(piece, bytes)])


class TextToSpeech(Protocol):
    """A synthesiser shared by all calls."""

    name: str
    languages: frozenset[str]

    @property
    def ready(self) -> bool:
        """Whether it can speak now; False while it is being restarted."""
        ...

    async def start(self) -> None:
        """Load and warm the engine; raises EngineUnavailable when it cannot serve."""
        ...

    def synthesise(self, text: str, style: SpeechStyle) -> Speech:
        """Yield 16 kHz PCM chunks of any length; close the generator to stop early.

        An engine that knows where its words begin yields a `WordMark` for each, in order and
        before the audio in which the word begins; the others yield none.

        Raises:
            EngineDied: The engine's process ended before the sentence was complete.
        """
        ...

    async def close(self) -> None:
        """Stop the engine and its processes."""
        ...
