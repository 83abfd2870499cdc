"""A synthesiser whose engine lives in worker processes: the half that espeak-ng and Piper share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from apps.core.errors import EngineDied, EngineError, EngineUnavailable
from apps.voice.tts.base import Speech, SpeechStyle, WordMark
from apps.voice.workers.host import WorkerPool
from apps.voice.workers.spec import WorkerInfo
from apps.voice.workers.stream import WorkerStream

MAX_TEXT_CHARS = 2000
RESTART_WAIT_S = 5.0

ChooseVoice = Callable[[SpeechStyle], str]


class WorkerTextToSpeech:
    """Speaks one sentence at a time through a pool of workers.

    Args:
        name: The engine's name.
        languages: What its voices speak.
        pool: The workers; a stream's header has ``text``, ``voice``, ``rate`` and ``pitch``.
        choose_voice: Names the voice of a style as the worker knows it.
    """

    def __init__(
        self,
        name: str,
        languages: frozenset[str],
        pool: WorkerPool,
        choose_voice: ChooseVoice,
    ) -> None:
        self.name = name
        self.languages = languages
        self._pool = pool
        self._choose_voice = choose_voice

    @property
    def ready(self) -> bool:
        """Whether it can speak now; False while all its workers are being restarted."""
        return self._pool.ready

    @property
    def infos(self) -> list[WorkerInfo]:
        """What the running workers say about themselves."""
        return self._pool.infos

    async def start(self) -> None:
        """Start and warm the workers.

        Raises:
            EngineUnavailable: The engine cannot serve.
        """
        await self._pool.start()

    async def synthesise(self, text: str, style: SpeechStyle) -> Speech:
        """Yield 16 kHz PCM while the sentence is being made, and the words' marks if it has any.

        Raises:
            EngineUnavailable: No voice speaks the style's language, or there is no such voice.
            EngineDied: The worker ended before the sentence was complete, or is not back in time.
            EngineError: The sentence is too long, or the engine failed at it.
        """
        request = self._request(text, style)
        stream = await self._opened(request)
        try:
            while (frame := await stream.receive()) is not None:
                for word, at_ms in frame.header.get("words", ()):
                    yield WordMark(int(word), float(at_ms))
                if frame.payload:
                    yield frame.payload
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Stop the workers."""
        await self._pool.close()

    def _request(self, text: str, style: SpeechStyle) -> Mapping[str, Any]:
        if style.language not in self.languages:
            raise EngineUnavailable(
                f"{self.name} has no voice for {style.language!r}.",
                hint=f"It speaks {', '.join(sorted(self.languages))}.",
            )
        if len(text) > MAX_TEXT_CHARS:
            raise EngineError(
                f"A sentence of {len(text)} characters is too long to be spoken.",
                hint="Give the synthesiser one sentence at a time.",
            )
        return {
            "text": speakable(text),
            "voice": self._choose_voice(style),
            "rate": style.rate,
            "pitch": style.pitch,
        }

    async def _opened(self, request: Mapping[str, Any]) -> WorkerStream:
        """Open a stream; a worker that was just restarted is worth a moment's wait."""
        try:
            async with asyncio.timeout(RESTART_WAIT_S):
                await self._pool.wait_ready()
        except TimeoutError:
            raise EngineDied(
                f"No {self.name} worker has come back within {RESTART_WAIT_S:g} s."
            ) from None
        return self._pool.open(request)


def speakable(text: str) -> str:
    """Return a text without what an engine would take as a command or stumble over.

    Control characters end a C string or a line; ``[[...]]`` holds phonemes for both engines.
    """
    plain = "".join(" " if ord(char) < 32 or ord(char) == 127 else char for char in text)
    plain = plain.replace("[[", " ").replace("]]", " ")
    # A lone surrogate cannot be encoded, hence not spoken.
    plain = plain.encode(errors="ignore").decode()
    return " ".join(plain.split())
