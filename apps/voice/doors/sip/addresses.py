"""Addresses: whose they are, and how this machine is seen from there."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from contextlib import suppress

RESOLVE_S = 5.0

Peer = tuple[str, int]
"""An IP address and a port."""


async def resolve(host: str, port: int, family: int) -> Peer:
    """Return the address of a host.

    Raises:
        OSError: It has none.
    """
    with suppress(ValueError):
        return str(ipaddress.ip_address(host)), port
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(RESOLVE_S):
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
    return str(found[0][4][0]), port


@functools.lru_cache(maxsize=1024)
def local_host(towards: str) -> str:
    """Return this machine's address as a peer sees it on the way there, before any NAT."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))  # sends nothing
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        return str(probe.getsockname()[0])


def is_private(host: str) -> bool:
    """Tell whether an address is known within some network alone."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
