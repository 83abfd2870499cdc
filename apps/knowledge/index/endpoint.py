"""Vectors from an OpenAI-compatible server: vLLM, Ollama, text-embeddings-inference and others."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from apps.core.errors import EngineError, EngineUnavailable
from apps.knowledge.index.base import Vectors

_FIRST_PAUSE_S = 0.2
_LONGEST_NAME = 120  # of the column that keeps it
_CHARS_A_NUMBER = 40
_HINT = "Check TOM_EMBEDDINGS_URL, TOM_EMBEDDINGS_MODEL and TOM_EMBEDDINGS_API_KEY."
_NOT_PLAIN = re.compile(r"[^\w./+-]", re.ASCII)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class EndpointEmbedder:
    """Embeds by ``/v1/embeddings``.

    Args:
        url: The base URL, with or without ``/v1``.
        model: The model's name at that server.
        dimensions: Of its vectors; others are refused.
        api_key: Sent as a bearer token when not empty.
        batch: Texts of one request.
        timeout_s: Deadline of one request.
        tries: How often a request is sent before its failure counts.
        transport: Replaces the network, in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        dimensions: int,
        api_key: str = "",
        batch: int = 32,
        timeout_s: float = 10.0,
        tries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        base = url.rstrip("/")
        self._url = f"{base if base.endswith('/v1') else f'{base}/v1'}/embeddings"
        self._model, self._batch, self._tries = model, batch, tries
        self._encoding = "base64"  # a quarter of the bytes, and no numbers to be read one by one
        self.dimensions = dimensions
        self.name = _name(model, dimensions)
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=timeout_s,
            transport=transport,
        )

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length a text; an empty text gives a row of zeros.

        Raises:
            EngineUnavailable: The server cannot be reached, or it refuses.
            EngineError: It sent something else than such vectors.
        """
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        asked = [row for row, text in enumerate(texts) if text.strip()]
        for start in range(0, len(asked), self._batch):
            rows = asked[start : start + self._batch]
            found[rows] = await self._embed([texts[row] for row in rows])
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        body = await self._post(texts)
        vectors = read_vectors(body, len(texts), self.dimensions)
        lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
        return vectors / lengths

    async def _post(self, texts: Sequence[str]) -> bytes:
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(self._tries)):
            try:
                return await self._send(texts)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status in (400, 422) and self._encoding == "base64":
                    self._encoding = "float"  # an older server, which has but that
                    return await self._post(texts)
                if status not in _PASSING or not left:
                    raise EngineUnavailable(
                        f"The embeddings server refuses with status {status}.", hint=_HINT
                    ) from error
            except httpx.HTTPError as error:
                if not left:
                    raise EngineUnavailable(
                        f"The embeddings server cannot be reached: {type(error).__name__}.",
                        hint=_HINT,
                    ) from error
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try returns or raises")

    async def _send(self, texts: Sequence[str]) -> bytes:
        """Return what the server sends, which has no more bytes than so many vectors can have."""
        limit = 65_536 + len(texts) * self.dimensions * _CHARS_A_NUMBER
        asked = {"model": self._model, "input": list(texts), "encoding_format": self._encoding}
        async with self._client.stream("POST", self._url, json=asked) as response:
            response.raise_for_status()
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > limit:
                    raise _no_vectors("far more than was asked for")
        return bytes(body)


def read_vectors(body: bytes, count: int, dimensions: int) -> Vectors:
    """Return the vectors of a server's answer, in the order of the texts, of any length.

    Raises:
        EngineError: They are not as many, not of these dimensions, or no numbers.
    """
    try:
        data: list[dict[str, Any]] = sorted(json.loads(body)["data"], key=lambda one: one["index"])
        if [one["index"] for one in data] != list(range(count)):
            raise _no_vectors("not one vector a text")
        rows = [_numbers(one["embedding"]) for one in data]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_vectors("something else than vectors") from error
    for row in rows:
        if row.shape != (dimensions,):
            raise EngineError(
                f"The embeddings server's vectors have {row.size} dimensions, not {dimensions}.",
                hint=f"Set TOM_EMBEDDINGS_DIMENSIONS={row.size}, or another TOM_EMBEDDINGS_MODEL.",
                code="embeddings_dimensions",
            )
    vectors = np.stack(rows) if rows else np.empty((0, dimensions), np.float32)
    if not np.all(np.isfinite(vectors)) or not np.all(np.any(vectors, axis=1)):
        raise _no_vectors("vectors without a direction")
    return vectors


def _numbers(embedding: object) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)


def _no_vectors(what: str) -> EngineError:
    return EngineError(
        f"The embeddings server sent {what}.", hint=_HINT, code="embeddings_protocol"
    )


def _name(model: str, dimensions: int) -> str:
    name = f"{_NOT_PLAIN.sub('-', model)}-{dimensions}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{hashlib.sha256(model.encode()).hexdigest()[:40]}-{dimensions}"
