"""What a synthesiser is: one sentence in, PCM out as it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
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

    def synthesise(self, text: str, style: SpeechStyle) -> AsyncGenerator[bytes, None]:
        """Yield 16 kHz PCM chunks of any length; close the generator to stop early.

        Raises:
            EngineDied: The engine's process ended before the sentence was complete.
        """
        ...

    async def close(self) -> None:
        """Stop the engine and its processes."""
        ...
