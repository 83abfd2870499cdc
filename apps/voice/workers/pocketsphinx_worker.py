"""PocketSphinx as a worker: ``python -m apps.voice.workers.pocketsphinx_worker MODELS``.

A stream is one utterance: its header has ``profile``, ``listen_for`` and ``partials``; messages
carry 16 kHz PCM, the last one the header ``{"finish": true}``. Replies are transcripts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from apps.core.audio import pcm_to_samples
from apps.core.errors import EngineUnavailable
from apps.voice.stt.base import ListenFor, Transcript
from apps.voice.stt.listening import Listening
from apps.voice.stt.sphinx_decoder import SphinxDecoder
from apps.voice.stt.utterance import transcript_header
from apps.voice.workers.serve import ReplyStream, serve


class PocketSphinxSession:
    """One utterance: keeps its features, looks ahead while nothing else is to be done."""

    def __init__(self, stream: ReplyStream, listening: Listening, partials: bool) -> None:
        self._stream, self._listening, self._partials = stream, listening, partials

    def message(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Take audio; answer when it is complete."""
        if payload:
            self._listening.push(pcm_to_samples(payload))
        if header.get("finish"):
            self._reply(self._listening.finish())
            self._stream.end()

    def idle(self) -> bool:
        """Decode ahead of the end, or say what was understood so far."""
        partial = self._listening.look_ahead()
        if partial is None and self._partials:
            partial = self._listening.partial()
        if partial is None:
            return False
        if self._partials and partial.text:
            self._reply(partial)
        return True

    def close(self) -> None:
        """Nothing is held: decoders are shared and keep no state between utterances."""

    def _reply(self, transcript: Transcript) -> None:
        self._stream.reply(transcript_header(transcript))


class PocketSphinxWorker:
    """Recognises English with one decoder for many utterances at once."""

    name = "pocketsphinx"
    version = version("pocketsphinx")

    def __init__(self, models: Path) -> None:
        self._models = models
        self._decoder: SphinxDecoder

    def load(self) -> Mapping[str, Any]:
        """Build the models where they are missing, load and warm them."""
        try:
            self._decoder = SphinxDecoder(self._models)
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineUnavailable(
                f"PocketSphinx's models cannot be loaded from {self._models}: {error}.",
                hint="Delete that folder; it is built again.",
            ) from error
        self._decoder.warm_up()
        return {"profiles": self._decoder.profiles, "models": str(self._models)}

    def open(
        self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes
    ) -> PocketSphinxSession:
        """Begin one utterance."""
        listening = Listening(
            self._decoder,
            profile=str(header["profile"]),
            listen_for=ListenFor(header["listen_for"]),
        )
        return PocketSphinxSession(stream, listening, bool(header.get("partials")))


if __name__ == "__main__":
    raise SystemExit(serve(PocketSphinxWorker(Path(sys.argv[1]))))
