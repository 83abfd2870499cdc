"""How commands speak with a running server as an operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from apps.core import secrets
from apps.core.errors import EngineUnavailable, TomError
from apps.settings import read_settings

NO_SERVER = "no_server"


@contextmanager
def running_server(url: str) -> Iterator[httpx.Client]:
    """Yield a client of a server, with the operator token of this installation.

    Args:
        url: The server's; empty for the one on this machine, whose own token is taken then.
    """
    settings = read_settings()
    token = settings.operator_token
    if not url:  # this installation's own server knows this installation's own token
        keys = secrets.load_or_create(settings.data_dir, settings.hash_key, token)
        token = keys.operator_token
    base = (url or f"http://127.0.0.1:{settings.http_port}").rstrip("/")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=base, headers=headers, timeout=15.0) as client:
        yield client


def ask(
    server: httpx.Client,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Send one request and return the JSON object that comes back.

    Raises:
        EngineUnavailable: The server cannot be reached; code ``no_server``.
        TomError: It refuses.
    """
    try:
        answer = server.request(method, path, json=body, headers=headers)
        told = answer.json()
    except (httpx.HTTPError, ValueError):
        raise EngineUnavailable(
            f"No TOM answers at {server.base_url}.",
            hint="Start `tom serve`, or give --url.",
            code=NO_SERVER,
        ) from None
    if answer.is_error:
        error = told.get("error", {})
        raise TomError(
            error.get("message", f"The server answered {answer.status_code}."),
            hint=error.get("hint", ""),
            code=error.get("code"),
        )
    return dict(told)
