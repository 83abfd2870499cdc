"""A recogniser without an engine: it hears what its script says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from apps.core.errors import EngineUnavailable
from apps.voice.stt.base import ListenOptions, OnPartial, Transcript

UNSCRIPTED = "hello"
"""What is heard when the script is at its end."""


class FakeStt:
    """Hears one line of its script per utterance with any audio, for tests and demos.

    Args:
        script: What is heard, utterance by utterance; afterwards `UNSCRIPTED`.
        confidence: Of every transcript.
        latency_s: Between the end of an utterance and its transcript.

    Attributes:
        heard: The options of every utterance that was opened, in order.
    """

    name = "fake"
    languages = frozenset({"de", "en"})
    ready = True

    def __init__(
        self, script: Iterable[str] = (), *, confidence: float = 0.9, latency_s: float = 0.0
    ) -> None:
        self._script = deque(script)
        self._confidence = confidence
        self._latency_s = latency_s
        self.heard: list[ListenOptions] = []

    async def start(self) -> None:
        """Do nothing: there is nothing to load."""

    def listen(self, options: ListenOptions, on_partial: OnPartial | None = None) -> FakeUtterance:
        """Open one utterance.

        Raises:
            EngineUnavailable: The language is neither German nor English.
        """
        if options.language not in self.languages:
            raise EngineUnavailable(f"The fake recogniser does not hear {options.language!r}.")
        self.heard.append(options)
        return FakeUtterance(self, on_partial)

    def next_line(self) -> str:
        """Take the next line off the script."""
        return self._script.popleft() if self._script else UNSCRIPTED

    async def transcript(self, text: str) -> Transcript:
        """Return a final transcript after the latency."""
        await asyncio.sleep(self._latency_s)
        confidence = self._confidence if text else 0.0
        return Transcript(text, confidence, is_final=True, model="fake")

    async def close(self) -> None:
        """Do nothing: there is nothing to stop."""


class FakeUtterance:
    """One utterance; its first audio brings the line's first word as a partial transcript."""

    def __init__(self, engine: FakeStt, on_partial: OnPartial | None) -> None:
        self._engine = engine
        self._on_partial = on_partial
        self._text: str | None = None
        self._over = False

    def feed(self, pcm: bytes) -> None:
        """Take audio; what it holds does not matter."""
        if self._over or self._text is not None or not pcm:
            return
        self._text = self._engine.next_line()
        if self._on_partial is not None:
            first = self._text.partition(" ")[0]
            self._on_partial(Transcript(first, 0.0, is_final=False, model="fake"))

    async def finish(self) -> Transcript:
        """Return the line, or nothing when there was no audio."""
        self._over = True
        return await self._engine.transcript(self._text or "")

    def cancel(self) -> None:
        """Forget the utterance; its line is used up."""
        self._over = True
