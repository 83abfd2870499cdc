"""An OpenAI-compatible speech or transcription server: the connection, and whether it is there."""

from __future__ import annotations

import httpx

from apps.core.errors import EngineUnavailable

CONNECT_S = 2.0


def connection(url: str, api_key: str, deadline_s: float) -> httpx.AsyncClient:
    """Return a client of a server; nothing is connected yet.

    Args:
        url: The server's base URL, with or without ``/v1`` at its end.
        api_key: The server's key; empty when it wants none.
        deadline_s: The longest wait for an answer, or for its next piece.
    """
    base = url.rstrip("/")
    return httpx.AsyncClient(
        base_url=base if base.endswith("/v1") else base + "/v1",
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        timeout=httpx.Timeout(deadline_s, connect=CONNECT_S),
    )


async def check_there(client: httpx.AsyncClient, server: str, settings: str) -> None:
    """Look whether a server is there and takes the key.

    Args:
        client: What `connection` returned.
        server: What it is, for the error: ``speech server``.
        settings: What its settings' names begin with: ``TOM_TTS``.

    Raises:
        EngineUnavailable: It cannot be reached, or refuses the key.
    """
    try:
        response = await client.get("/models")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EngineUnavailable(
            f"The {server} cannot be reached ({type(error).__name__}).",
            hint=f"Is {settings}_URL right, and the server running?",
        ) from error
    if response.status_code in (401, 403):
        raise EngineUnavailable(f"The {server} refuses the key.", hint=f"Set {settings}_API_KEY.")
