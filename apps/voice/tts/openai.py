"""Any server that speaks OpenAI's ``POST /v1/audio/speech``, as a synthesiser."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from apps.core.audio import SAMPLE_BYTES, pcm_to_samples, samples_to_pcm
from apps.core.errors import EngineDied, EngineError, EngineUnavailable
from apps.voice.openai_server import check_there, connection
from apps.voice.resample import Resampler
from apps.voice.tts.base import Speech, SpeechStyle

SERVER_RATE_HZ = 24_000  # of response_format "pcm": signed 16-bit little-endian mono
_MIN_SPEED, _MAX_SPEED = 0.25, 4.0


class OpenAiTts:
    """Speaks through an OpenAI-compatible speech server; pitch is the server's own.

    Args:
        url: The server's base URL, with or without ``/v1`` at its end.
        model: The model's name there.
        voices: The default voice of each language; they may be the same.
        api_key: The server's key; empty when it wants none.
        chunk_deadline_s: The longest wait for the first audio, and between two pieces of it.
    """

    name = "openai"
    ready = True  # whether the server is, only a sentence shows

    def __init__(
        self,
        url: str,
        *,
        model: str,
        voices: Mapping[str, str],
        api_key: str = "",
        chunk_deadline_s: float = 4.0,
    ) -> None:
        self.languages = frozenset(voices)
        self._voices = voices
        self._model = model
        self._deadline_s = chunk_deadline_s
        self._client = connection(url, api_key, chunk_deadline_s)

    async def start(self) -> None:
        """Look whether the server is there and takes the key.

        Raises:
            EngineUnavailable: It cannot be reached, or refuses the key.
        """
        await check_there(self._client, "speech server", "TOM_TTS")

    async def synthesise(self, text: str, style: SpeechStyle) -> Speech:
        """Yield 16 kHz PCM as the server sends it; closing the generator closes the request.

        Raises:
            EngineUnavailable: No voice is set for the style's language.
            EngineDied: The connection failed before the sentence was complete.
            EngineError: The server answered with an error, or not in time.
        """
        body = self._body(text, style)
        try:
            async with self._client.stream("POST", "/audio/speech", json=body) as response:
                _check(response)
                resampler = Resampler(SERVER_RATE_HZ)
                rest = b""
                async for data in response.aiter_bytes():
                    data = rest + data
                    whole = len(data) - len(data) % SAMPLE_BYTES
                    rest = data[whole:]
                    if pcm := samples_to_pcm(resampler.push(pcm_to_samples(data[:whole]))):
                        yield pcm
                if pcm := samples_to_pcm(resampler.flush()):
                    yield pcm
        except httpx.TimeoutException as error:
            raise EngineError(
                f"The speech server sent nothing for {self._deadline_s:g} s.",
                code="engine_timeout",
            ) from error
        except httpx.HTTPError as error:
            raise EngineDied(
                f"The connection to the speech server failed ({type(error).__name__})."
            ) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _body(self, text: str, style: SpeechStyle) -> dict[str, object]:
        if style.language not in self.languages:
            raise EngineUnavailable(f"No voice of the speech server speaks {style.language!r}.")
        return {
            "model": self._model,
            "voice": style.voice or self._voices[style.language],
            "input": text,
            "response_format": "pcm",
            "speed": min(_MAX_SPEED, max(_MIN_SPEED, style.rate)),
        }


def _check(response: httpx.Response) -> None:
    """Refuse everything that is no PCM: an error page, spoken, would be noise."""
    kind = response.headers.get("content-type", "")
    if response.status_code != httpx.codes.OK:
        raise EngineError(f"The speech server answered with status {response.status_code}.")
    if kind.startswith(("application/json", "text/")):
        raise EngineError(
            f"The speech server answered with {kind} instead of audio.",
            hint="It has to support response_format pcm.",
        )
