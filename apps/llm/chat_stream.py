"""Reads the answers of OpenAI-compatible servers: bounded, and trusting nothing that arrives."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from typing import Any

from apps.core.errors import EngineError

MAX_LINE_CHARS = 1_000_000
"""A server that sends no line end is not speaking the protocol; nothing is kept without bound."""
MAX_STREAM_BYTES = 2_000_000
"""Of a whole answer with everything around it; a real one has a few hundred kilobytes."""
_MAX_TOKENS = 10_000_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a streamed chat completion.

    Attributes:
        text: What it adds to the answer; may be empty.
        prompt_tokens: Tokens that the server says it has read, so far; None where it says nothing.
        completion_tokens: Tokens that it says it has written.
    """

    text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(slots=True)
class Tally:
    """What is known of an answer while it streams.

    Attributes:
        model: The model that answers, once the server has taken the request; else empty.
        adapter_missing: Whether the adapter was asked for and is not there.
        prompt_tokens: As the server counts, or None.
        completion_tokens: The same.
        prompt_bytes: Size of the prompt's text as UTF-8.
        answer_bytes: Size of the answer's.
        first_token_ms: How long the server took for the first text; None before that.
    """

    model: str = ""
    adapter_missing: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_bytes: int = 0
    answer_bytes: int = 0
    first_token_ms: float | None = None

    def add(self, chunk: Chunk) -> None:
        """Count one event."""
        self.answer_bytes += len(chunk.text.encode("utf-8", "replace"))
        if chunk.prompt_tokens is not None:
            self.prompt_tokens = chunk.prompt_tokens
        if chunk.completion_tokens is not None:
            self.completion_tokens = chunk.completion_tokens


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
        if len(self._rest) > MAX_LINE_CHARS:
            raise no_event_stream()
        for line in lines:
            if line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))
            elif not line and self._data:
                found.append("\n".join(self._data))
                self._data = []
        return found


class EventReader:
    """Turns the bytes of a response into the data of its events."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._parser = SseParser()
        self._read = 0

    def push(self, raw: bytes) -> list[str]:
        """Add bytes and return the data of the events that are now complete.

        Raises:
            EngineError: It is no UTF-8, a line does not end, or there is no end to it all.
        """
        self._read += len(raw)
        if self._read > MAX_STREAM_BYTES:
            raise no_event_stream()
        try:
            return self._parser.push(self._decoder.decode(raw))
        except UnicodeDecodeError:
            raise no_event_stream() from None


def read_chunk(data: str) -> Chunk | None:
    """Return one chat completion event, or None when it ends the stream.

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
        text = (choices[0]["delta"].get("content") or "") if choices else ""
        if not isinstance(text, str):
            raise TypeError("content is no text")
        usage = event.get("usage") or {}
        return Chunk(text, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EngineError(
            "The language server sent what is no chat completion.",
            hint="Check that the provider's URL is an OpenAI-compatible server's base URL.",
            code="llm_protocol",
        ) from None


def _count(usage: dict[str, Any], name: str) -> int | None:
    """Return a number of tokens, or None for what cannot be one."""
    found = usage.get(name)
    sound = isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _MAX_TOKENS
    return found if sound else None


def no_event_stream() -> EngineError:
    """Return the error for a response that is no event stream."""
    return EngineError("The language server sends no event stream.", code="llm_protocol")
