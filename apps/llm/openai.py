"""A streaming chat client for vLLM, Ollama and any other OpenAI-compatible server.

Closing the stream closes the HTTP connection, which is how vLLM learns to stop generating.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from apps.core.errors import EngineError, EngineUnavailable
from apps.llm.prompt import Prompt

_MAX_TOKENS = {"short": 80, "medium": 200, "long": 350}
# A server that sends no line end is not speaking the protocol; nothing is kept without bound.
_MAX_LINE_CHARS = 1_000_000


class SseParser:
    """Cuts a stream of server-sent events into the data of each event.

    The rules are the WHATWG's (HTML standard, 9.2.6), as far as chat completions use them: lines
    end in LF, CRLF or CR, ``data:`` lines of one event are joined, comments and other fields are
    ignored.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._data: list[str] = []

    def push(self, text: str) -> list[str]:
        """Add text and return the data of the events that are now complete.

        Raises:
            EngineError: A line does not end.
        """
        self._rest += text
        found: list[str] = []
        # A CR at the very end may be half of a CRLF, so it waits for what follows.
        body = self._rest[:-1] if self._rest.endswith("\r") else self._rest
        *lines, rest = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rest + self._rest[len(body) :]
        if len(self._rest) > _MAX_LINE_CHARS:
            raise EngineError("The language server sends no event stream.", code="llm_protocol")
        for line in lines:
            if line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))
            elif not line and self._data:
                found.append("\n".join(self._data))
                self._data = []
        return found


def delta_text(data: str) -> str | None:
    """Return the text of one chat completion event, or None when it ends the stream.

    Raises:
        EngineError: The event is an error, or no chat completion chunk.
    """
    if data.strip() == "[DONE]":
        return None
    try:
        event = json.loads(data)
        if "error" in event:
            # The server's words may repeat the prompt, so they are not passed on.
            raise EngineError("The language server reported an error.", code="llm_error")
        choices = event["choices"]
        return str(choices[0]["delta"].get("content") or "") if choices else ""
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineError(
            "The language server sent what is no chat completion.",
            hint="Check that TOM_LLM_URL is an OpenAI-compatible server's base URL.",
            code="llm_protocol",
        ) from error


class OpenAiGenerator:
    """Answers by an OpenAI-compatible server.

    Args:
        url: The base URL, with or without ``/v1``.
        model: The model's name at that server; an adapter's name serves the adapter.
        api_key: Sent as a bearer token when not empty.
        first_token_s: Deadline of the first piece of text.
        total_s: Deadline of the whole answer.
        transport: Replaces the network, in tests.
    """

    name = "openai"

    def __init__(
        self,
        url: str,
        *,
        model: str,
        api_key: str = "",
        first_token_s: float = 2.0,
        total_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        base = url.rstrip("/")
        self._url = base if base.endswith("/v1") else f"{base}/v1"
        self._model = model
        self._first_token_s = first_token_s
        self._total_s = total_s
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(total_s, connect=first_token_s),
            transport=transport,
        )

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models that the server offers.

        Raises:
            EngineUnavailable: The server cannot be reached, or it refuses.
        """
        try:
            response = await self._client.get(f"{self._url}/models", timeout=self._first_token_s)
            response.raise_for_status()
            return tuple(str(model["id"]) for model in response.json()["data"])
        except httpx.HTTPError as error:
            raise _unavailable(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnavailable(
                "The language server's list of models cannot be read.",
                hint="Check that TOM_LLM_URL is an OpenAI-compatible server's base URL.",
            ) from error

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the answer as the server sends it; see Generator.

        Raises:
            EngineUnavailable: The server cannot be reached, or it refuses.
            EngineError: A deadline passed, the stream broke off, or the answer is empty.
        """
        loop = asyncio.get_running_loop()
        # What counts is the time that the server takes, not the time that the caller listens.
        left_s, waited_s = self._first_token_s, 0.0
        spoke = False
        async with aclosing(self._pieces(prompt)) as pieces:
            while True:
                asked_s = loop.time()
                try:
                    async with asyncio.timeout(left_s - waited_s):
                        piece = await anext(pieces, None)
                except TimeoutError as error:
                    raise _late(spoke) from error
                waited_s += loop.time() - asked_s
                if piece is None:
                    break
                if piece:
                    spoke = True
                    left_s = self._total_s
                    yield piece
        if not spoke:
            raise EngineError("The language server answered nothing.", code="llm_empty")

    async def _pieces(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield each event's text; closing it closes the connection."""
        parser = SseParser()
        try:
            async with self._client.stream(
                "POST", f"{self._url}/chat/completions", json=self._body(prompt)
            ) as response:
                response.raise_for_status()
                async for text in response.aiter_text():
                    for data in parser.push(text):
                        piece = delta_text(data)
                        if piece is None:
                            return
                        yield piece
        except httpx.HTTPError as error:
            raise _unavailable(error) from error
        raise EngineError("The language server broke off.", code="llm_broke_off")

    def _body(self, prompt: Prompt) -> dict[str, object]:
        return {
            "model": self._model,
            "messages": prompt.messages(),
            "stream": True,
            "temperature": 0.2,
            "max_tokens": _MAX_TOKENS[prompt.slots.length.value],
        }

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _unavailable(error: httpx.HTTPError) -> EngineUnavailable:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return EngineUnavailable(
            f"The language server answered with HTTP {status}.",
            hint="Check TOM_LLM_URL, TOM_LLM_MODEL and TOM_LLM_API_KEY.",
            code="llm_refused",
        )
    return EngineUnavailable(
        "The language server cannot be reached.",
        hint="Check TOM_LLM_URL and that the server runs.",
        code="llm_unreachable",
    )


def _late(spoke: bool) -> EngineError:
    if spoke:
        return EngineError("The language server's answer took too long.", code="llm_late")
    return EngineError(
        "The language server's first word took too long.",
        hint="Raise TOM_LLM_FIRST_TOKEN_S or make the server faster.",
        code="llm_first_token_late",
    )
