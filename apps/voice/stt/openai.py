"""Any server that speaks OpenAI's ``POST /v1/audio/transcriptions``, as a recogniser."""

from __future__ import annotations

import asyncio
import io
import wave

import httpx

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ
from apps.core.errors import EngineDied, EngineError, EngineOverloaded, EngineUnavailable
from apps.voice.openai_server import check_there, connection
from apps.voice.stt.base import ListenOptions, OnPartial, Transcript

_MAX_UTTERANCE_S = 120
_MAX_PROMPT_CHARS = 600  # Whisper keeps about 200 tokens of a prompt, the last ones


class OpenAiStt:
    """Hears through an OpenAI-compatible transcription server; there are no partial transcripts.

    Args:
        url: The server's base URL, with or without ``/v1`` at its end.
        model: The model's name there.
        languages: What the model hears.
        api_key: The server's key; empty when it wants none.
        deadline_s: The longest wait for a transcript.
    """

    name = "openai"

    def __init__(
        self,
        url: str,
        *,
        model: str,
        languages: frozenset[str] = frozenset({"de", "en"}),
        api_key: str = "",
        deadline_s: float = 8.0,
    ) -> None:
        self.languages = languages
        self._model = model
        self._deadline_s = deadline_s
        self._client = connection(url, api_key, deadline_s)

    @property
    def ready(self) -> bool:
        """Whether it can take an utterance now; a server that went away is noticed by asking."""
        return not self._client.is_closed

    async def start(self) -> None:
        """Look whether the server is there and takes the key.

        Raises:
            EngineUnavailable: It cannot be reached, or refuses the key.
        """
        await check_there(self._client, "transcription server", "TOM_STT")

    def listen(
        self, options: ListenOptions, on_partial: OnPartial | None = None
    ) -> OpenAiUtterance:
        """Open one utterance; its audio is sent when it is complete.

        Raises:
            EngineUnavailable: The model does not hear the language.
        """
        if options.language not in self.languages:
            raise EngineUnavailable(
                f"The transcription server's model does not hear {options.language!r}."
            )
        return OpenAiUtterance(self, options)

    async def transcribe(self, pcm: bytes, options: ListenOptions) -> Transcript:
        """Send a whole utterance and return what the server understood.

        Args:
            pcm: 16 kHz PCM.
            options: How to hear it; its bias words become the prompt.

        Raises:
            EngineDied: The connection failed.
            EngineError: The server answered with an error, or not in time.
        """
        fields = {"model": self._model, "language": options.language, "temperature": "0"}
        if options.bias_words:
            fields["prompt"] = _prompt(options.bias_words)
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._client.post(
                    "/audio/transcriptions",
                    data=fields | {"response_format": "json"},
                    files={"file": ("speech.wav", _wav(pcm), "audio/wav")},
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise EngineError(
                f"The transcription server did not answer within {self._deadline_s:g} s.",
                code="engine_timeout",
            ) from error
        except httpx.HTTPError as error:
            raise EngineDied(
                f"The connection to the transcription server failed ({type(error).__name__})."
            ) from error
        # The interface tells no confidence.
        return Transcript(_text(response), None, is_final=True, model=self._model)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class OpenAiUtterance:
    """One utterance on its way to the server; see the `Utterance` Protocol."""

    def __init__(self, engine: OpenAiStt, options: ListenOptions) -> None:
        self._engine = engine
        self._options = options
        self._pcm = bytearray()
        self._given_up = False
        self._request: asyncio.Task[Transcript] | None = None

    def feed(self, pcm: bytes) -> None:
        """Add 16 kHz PCM; returns at once.

        Raises:
            EngineOverloaded: The utterance is longer than any server is asked to hear.
        """
        if self._given_up or self._request is not None:
            return
        if len(self._pcm) + len(pcm) > _MAX_UTTERANCE_S * SAMPLE_RATE_HZ * SAMPLE_BYTES:
            raise EngineOverloaded(f"An utterance is longer than {_MAX_UTTERANCE_S} s.")
        self._pcm += pcm

    async def finish(self) -> Transcript:
        """Send the audio and wait for the transcript; empty when there was no audio.

        Raises:
            EngineDied: The connection failed.
            EngineError: The server answered with an error, or not in time.
        """
        nothing = Transcript("", 0.0, is_final=True)
        if self._given_up or not self._pcm:
            return nothing
        if self._request is None:
            self._request = asyncio.create_task(
                self._engine.transcribe(bytes(self._pcm), self._options), name="stt-openai"
            )
        try:
            return await self._request
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._given_up and task is not None and not task.cancelling():
                return nothing
            raise

    def cancel(self) -> None:
        """Give the utterance up; a request that runs is closed."""
        self._given_up = True
        self._pcm.clear()
        if self._request is not None:
            self._request.cancel()


def _prompt(words: tuple[str, ...]) -> str:
    """Return as many words as fit, the most important last, where Whisper looks most."""
    kept: list[str] = []
    length = 0
    for word in words:
        length += len(word) + 2
        if length > _MAX_PROMPT_CHARS:
            break
        kept.append(word)
    return ", ".join(reversed(kept))


def _wav(pcm: bytes) -> bytes:
    """Return PCM as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm)
    return out.getvalue()


def _text(response: httpx.Response) -> str:
    """Return the transcript in an answer; anything else is the server's error."""
    if response.status_code != httpx.codes.OK:
        raise EngineError(
            f"The transcription server answered with status {response.status_code}.",
            hint="Its log says more; is the model's name right?",
        )
    try:
        text = response.json()["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise EngineError(
            "The transcription server answered with something other than a transcript.",
            hint="It has to support response_format json.",
        )
    return text.strip()
