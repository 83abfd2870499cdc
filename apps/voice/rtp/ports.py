"""A pair of UDP ports for a call: RTP on an even one, RTCP on the next."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

from apps.core.errors import AtCapacity
from apps.voice.rtp.sdp import Address

_MAX_TRIES = 1000
_EXPEDITED = 46 << 2  # DSCP EF (RFC 3246): what networks that know voice put first

Take = Callable[[bytes, Address], None]


class _Endpoint(asyncio.DatagramProtocol):
    """Hands every datagram on; what the network says of ours (nobody there) is left to timeouts."""

    def __init__(self, take: Take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data, (addr[0].removeprefix("::ffff:"), addr[1]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        endpoint = transport.get_extra_info("socket")
        with suppress(OSError):  # not every system lets it be said
            if endpoint.family == socket.AF_INET6:
                endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _EXPEDITED)
            else:
                endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED)

    def error_received(self, exc: Exception) -> None:
        pass


async def open_pair(
    host: str, ports: tuple[int, int], take_rtp: Take, take_rtcp: Take
) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport, int]:
    """Bind a free pair of ports, chosen at random so that a stranger cannot tell which.

    Args:
        host: The address to listen on.
        ports: The first and the last port that may be used.
        take_rtp: Takes what comes to the even port.
        take_rtcp: Takes what comes to the odd port.

    Returns:
        Both endpoints and the even port.

    Raises:
        AtCapacity: With code ``no_ports``: none is free.
    """
    first = ports[0] + ports[0] % 2
    pairs = (ports[1] - first + 1) // 2
    loop = asyncio.get_running_loop()
    start = secrets.randbelow(pairs) if pairs > 0 else 0
    for step in range(min(_MAX_TRIES, pairs)):
        port = first + 2 * ((start + step) % pairs)
        try:
            rtp, _ = await loop.create_datagram_endpoint(
                lambda: _Endpoint(take_rtp), local_addr=(host, port)
            )
        except OSError:
            continue
        try:
            rtcp, _ = await loop.create_datagram_endpoint(
                lambda: _Endpoint(take_rtcp), local_addr=(host, port + 1)
            )
        except OSError:
            rtp.close()
            continue
        except BaseException:
            rtp.close()
            raise
        return rtp, rtcp, port
    raise AtCapacity(
        "No port is free for a call's audio.",
        hint="Give RTP a wider range of ports.",
        code="no_ports",
    )
