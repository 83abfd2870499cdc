"""The host's side of one utterance whose engine lives in a worker process.

What goes over the stream: audio as payloads, then a header ``{"finish": true}``; back come
headers with a transcript's fields, the last of them final, and the end of the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.voice.stt.base import OnPartial, Transcript
from apps.voice.workers.stream import OnReply, WorkerStream
from apps.voice.workers.wire import Frame


def transcript_header(transcript: Transcript) -> dict[str, Any]:
    """Return a transcript as a worker replies it."""
    return {
        "text": transcript.text,
        "confidence": transcript.confidence,
        "final": transcript.is_final,
        "model": transcript.model,
        "until_ms": transcript.until_ms,
    }


class WorkerUtterance:
    """One utterance on a worker's stream; see the `Utterance` Protocol.

    Args:
        open_stream: Opens the stream, whose replies the given callback takes.
        on_partial: Called with each partial transcript, in the event loop.
    """

    def __init__(
        self, open_stream: Callable[[OnReply], WorkerStream], on_partial: OnPartial | None
    ) -> None:
        self._on_partial = on_partial
        self._final = Transcript("", 0.0, is_final=True)
        self._finished = False
        self._stream = open_stream(self._take)

    def feed(self, pcm: bytes) -> None:
        """Add 16 kHz PCM; returns at once.

        Raises:
            EngineOverloaded: The engine is more than a few seconds behind.
            EngineDied: Its process ended.
        """
        if not self._finished:
            self._stream.send({}, pcm)

    async def finish(self) -> Transcript:
        """Say that the audio is complete and wait for the final transcript.

        Raises:
            EngineDied: The engine's process ended before it answered.
        """
        if not self._finished:
            self._finished = True
            self._stream.send({"finish": True})
        try:
            while await self._stream.receive() is not None:
                pass
        except BaseException:
            self._stream.cancel()
            raise
        return self._final

    def cancel(self) -> None:
        """Give the utterance up and free what it holds in the engine."""
        self._finished = True
        self._stream.cancel()

    def _take(self, frame: Frame) -> None:
        header = frame.header
        transcript = Transcript(
            text=str(header.get("text", "")),
            confidence=header.get("confidence"),
            is_final=bool(header.get("final", False)),
            model=str(header.get("model", "")),
            until_ms=header.get("until_ms"),
        )
        if transcript.is_final:
            self._final = transcript
        elif self._on_partial is not None and not self._finished:
            self._on_partial(transcript)
