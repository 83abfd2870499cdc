"""A streaming chat client for vLLM, Ollama and any other OpenAI-compatible server.

Closing the stream closes the HTTP connection, which is how vLLM learns to stop generating. A
server is not trusted: redirects are not followed (a key would follow them), nothing is
decompressed, and what it sends is bounded in size and in time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from apps.core.errors import EngineError, EngineUnavailable
from apps.llm.chat_stream import Chunk, EventReader, Tally, no_event_stream, read_chunk
from apps.llm.prompt import Prompt
from apps.llm.refusals import refused

TEMPERATURE = 0.2
TOP_P = 1.0
"""An answer is to keep to its passages; some warmth lets it be worded for the ear. Both are sent
with each request, because servers take other defaults from the model's own files."""
MAX_TOKENS = {"short": 80, "medium": 200, "long": 350}
"""By the policy's length; a cut answer is better than one that does not end."""
MAX_ANSWER_CHARS = 20_000
_MAX_LIST_BYTES = 2_000_000
_CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=64)
_USAGE: tuple[dict[str, Any], ...] = (
    {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    {"stream_options": {"include_usage": True}},
    {},
)
"""How a server is asked to count its tokens, the best way first; one that refuses gets the next."""


class OpenAiGenerator:
    """Answers by one OpenAI-compatible server.

    Args:
        url: The base URL, with or without ``/v1``.
        model: The base model's name at that server.
        api_key: Sent as a bearer token when not empty.
        first_token_s: Deadline of the first piece of text.
        total_s: Deadline of the whole answer.
        adapters: Whether a prompt's adapter is asked for, as a model of its name.
        running_usage: Whether the server is asked to count tokens with every event (vLLM's own
            option), so that an answer that is stopped is counted, too.
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
        adapters: bool = True,
        running_usage: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._root = url.rstrip("/").removesuffix("/v1")
        self._model, self._adapters = model, adapters
        self._first_token_s = first_token_s
        self._total_s = total_s
        self._usage = 0 if running_usage else 1
        key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity", **key},
            timeout=httpx.Timeout(total_s, connect=first_token_s),
            follow_redirects=False,
            limits=_CONNECTIONS,
            transport=transport,
        )

    async def models(self, path: str = "/v1/models") -> tuple[str, ...]:
        """Return the names of the models that the server offers.

        Args:
            path: Where it lists them; Ollama also does at ``/api/tags``.

        Raises:
            EngineUnavailable: The server cannot be reached, or its list cannot be read.
            EngineError: It refuses; see `refused`.
        """
        try:
            async with (
                asyncio.timeout(self._first_token_s),
                self._client.stream("GET", f"{self._root}{path}") as response,
            ):
                if not response.is_success:
                    raise refused(response)
                listed = await _read_list(response)
        except TimeoutError as error:
            raise _unreachable() from error
        except httpx.HTTPError as error:
            raise _unreachable() from error
        return listed

    async def probe(self, path: str = "/v1/models") -> str:
        """Ask whether the server is well.

        Args:
            path: Where it lists its models; a server that lists none there is well.

        Returns:
            Why it is not, as an error's code; empty when it is.
        """
        try:
            async with (
                asyncio.timeout(self._first_token_s),
                self._client.stream("GET", f"{self._root}{path}") as response,
            ):
                if response.is_success or response.status_code in _WELL:
                    return ""
                return refused(response).code
        except (TimeoutError, httpx.HTTPError):
            return _unreachable().code

    async def stream(self, prompt: Prompt, tally: Tally | None = None) -> AsyncGenerator[str, None]:
        """Yield the answer as the server sends it; see Generator.

        Args:
            prompt: What is asked.
            tally: Filled as the answer comes.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: It refuses (see `refused`), a deadline passed, the stream broke off, is
                none, or the answer is empty.
        """
        tally = tally or Tally()
        loop = asyncio.get_running_loop()
        # What counts is the time that the server takes, not the time that the caller listens.
        left_s, waited_s, length = self._first_token_s, 0.0, 0
        async with aclosing(self._chunks(prompt, tally)) as chunks:
            while True:
                asked_s = loop.time()
                try:
                    async with asyncio.timeout(left_s - waited_s):
                        chunk = await anext(chunks, None)
                except TimeoutError as error:
                    raise _late(length > 0) from error
                waited_s += loop.time() - asked_s
                if chunk is None:
                    break
                tally.add(chunk)
                if chunk.text:
                    if not length:
                        tally.first_token_ms, left_s = waited_s * 1000, self._total_s
                    length += len(chunk.text)
                    if length > MAX_ANSWER_CHARS:
                        raise no_event_stream()
                    yield chunk.text
        if not length:
            raise EngineError("The language server answered nothing.", code="llm_empty")

    async def _chunks(self, prompt: Prompt, tally: Tally) -> AsyncGenerator[Chunk, None]:
        """Yield each event; closing it closes the connection."""
        reader = EventReader()
        try:
            async with self._response(prompt, tally) as response:
                _check_stream(response)
                async for raw in response.aiter_raw():
                    for data in reader.push(raw):
                        chunk = read_chunk(data)
                        if chunk is None:
                            return
                        yield chunk
        except httpx.HTTPError as error:
            if tally.model:
                raise _broke_off() from error
            raise _unreachable() from error
        raise _broke_off()

    @asynccontextmanager
    async def _response(self, prompt: Prompt, tally: Tally) -> AsyncGenerator[httpx.Response, None]:
        """Ask, and yield the response of a server that took the request.

        A server that does not know the adapter is asked for the base model, and one that does not
        know how its tokens are to be counted is asked without.
        """
        messages = prompt.messages()
        tally.prompt_bytes = sum(len(m["content"].encode("utf-8", "replace")) for m in messages)
        model = prompt.adapter if prompt.adapter and self._adapters else self._model
        usage = self._usage
        while True:
            body = {
                "model": model,
                "messages": messages,
                "stream": True,
                "temperature": TEMPERATURE,
                "top_p": TOP_P,
                "max_tokens": MAX_TOKENS[prompt.slots.length.value],
                **_USAGE[usage],
            }
            url = f"{self._root}/v1/chat/completions"
            async with self._client.stream("POST", url, json=body) as response:
                if response.is_success:
                    self._usage, tally.model = usage, model
                    tally.adapter_missing = bool(prompt.adapter) and model != prompt.adapter
                    yield response
                    return
            if response.status_code == httpx.codes.NOT_FOUND and model != self._model:
                model = self._model
            elif response.status_code in _ARGUES and usage + 1 < len(_USAGE):
                usage += 1
            else:
                raise refused(response)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


_WELL = (404, 405, 429)
_ARGUES = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


def _check_stream(response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream" or not _is_plain(response):
        raise no_event_stream()


def _is_plain(response: httpx.Response) -> bool:
    """Tell whether a body is as it was asked for: what is compressed may grow without bound."""
    encoding: str = response.headers.get("content-encoding", "identity")
    return encoding.strip().lower() == "identity"


async def _read_list(response: httpx.Response) -> tuple[str, ...]:
    body = b""
    try:
        if not _is_plain(response):
            raise ValueError("compressed")
        async for raw in response.aiter_raw():
            body += raw
            if len(body) > _MAX_LIST_BYTES:
                raise ValueError("too long")
        found = json.loads(body)
        models = found["models"] if "models" in found else found["data"]
        return tuple(str(model.get("id") or model["name"]) for model in models)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EngineUnavailable(
            "The language server's list of models cannot be read.",
            hint="Check that the provider's URL is an OpenAI-compatible server's base URL.",
            code="llm_protocol",
        ) from None


def _unreachable() -> EngineUnavailable:
    return EngineUnavailable(
        "The language server cannot be reached.",
        hint="Check the provider's URL and that the server runs.",
        code="llm_unreachable",
    )


def _broke_off() -> EngineError:
    return EngineError("The language server broke off.", code="llm_broke_off")


def _late(spoke: bool) -> EngineError:
    if spoke:
        return EngineError("The language server's answer took too long.", code="llm_late")
    return EngineError(
        "The language server's first word took too long.",
        hint="Raise TOM_LLM_FIRST_TOKEN_S or make the server faster.",
        code="llm_first_token_late",
    )
