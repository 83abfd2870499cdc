"""The STUN and TURN servers that help callers through their networks, from the settings."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiortc.rtcicetransport import RTCIceGatherer, parse_stun_turn_uri

from apps.core.errors import ConfigError

CREDENTIAL_S = 12 * 3600
"""So long a TURN credential that was made here is good for: longer than any call."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, as a browser names it."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


def read_ice_servers(setting: str) -> tuple[IceServer, ...]:
    """Read TOM_ICE_SERVERS: addresses separated by commas, or JSON as a browser takes it.

    Raises:
        ConfigError: It is neither, or an address is none of a STUN or TURN server.
    """
    text = setting.strip()
    if text.startswith("["):
        servers = _from_json(text)
    else:
        servers = tuple(IceServer((part.strip(),)) for part in text.split(",") if part.strip())
    for server in servers:
        for url in server.urls:
            _check(url)
    return servers


def with_credentials(
    servers: Sequence[IceServer], secret: str, now_s: float
) -> tuple[IceServer, ...]:
    """Return the servers with a fresh credential for those TURN servers that have none.

    Args:
        servers: As the settings name them.
        secret: What is shared with the TURN server (coturn's ``static-auth-secret``); empty for
            none.
        now_s: The Unix time.
    """
    if not secret:
        return tuple(servers)
    name = str(int(now_s) + CREDENTIAL_S)
    # SHA-1 is what TURN servers check here, and HMAC does not lean on what SHA-1 has lost.
    seal = base64.b64encode(hmac.digest(secret.encode(), name.encode(), hashlib.sha1)).decode()
    return tuple(
        replace(server, username=name, credential=seal)
        if not server.username and any(url.startswith("turn") for url in server.urls)
        else server
        for server in servers
    )


def gather_within(gatherer: RTCIceGatherer, seconds: float) -> None:
    """Make a gatherer do with the candidates that it has after so long."""
    ice = gatherer._connection
    gather = partial(ice.get_component_candidates, timeout=seconds)  # type: ignore[arg-type]
    ice.get_component_candidates = gather  # type: ignore[method-assign]


def _from_json(text: str) -> tuple[IceServer, ...]:
    try:
        return tuple(_server(item) for item in json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _bad("it is no JSON list of servers") from None


def _server(item: dict[str, Any]) -> IceServer:
    urls = item["urls"]
    found = (urls,) if isinstance(urls, str) else tuple(urls)
    username, credential = item.get("username", ""), item.get("credential", "")
    if not found or not all(isinstance(x, str) for x in (*found, username, credential)):
        raise ValueError("a server is made of texts")
    return IceServer(found, username, credential)


def _check(url: str) -> None:
    try:
        parse_stun_turn_uri(url)
    except ValueError:
        raise _bad(f"{url!r} is no address of a STUN or TURN server") from None


def _bad(why: str) -> ConfigError:
    return ConfigError(
        f"TOM_ICE_SERVERS cannot be used: {why}.",
        hint='For example stun:stun.example.org, or [{"urls": "turn:turn.example.org",'
        ' "username": "tom", "credential": "..."}].',
    )
