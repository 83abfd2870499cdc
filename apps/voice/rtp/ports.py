"""A pair of UDP ports for a call: RTP on an even one, RTCP on the next."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

from apps.core.errors import AtCapacity
from apps.voice.rtp.packet import MAX_PACKET_BYTES
from apps.voice.rtp.sdp import Address

_MAX_TRIES = 1000
_EXPEDITED = 46 << 2  # DSCP EF (RFC 3246): what networks that know voice put first
# Some 40 packets, less than a second of speech. What waited longer on a machine that does not keep
# up is worth nothing, and would be heard as delay.
_RECEIVE_BUFFER_BYTES = 16_384
_MAX_AT_ONCE = 64

Take = Callable[[bytes, Address], None]


class Endpoint:
    """One UDP port on the running loop.

    Unlike asyncio's own transport it takes all datagrams that wait when it is woken, not one, and
    drops what the system does not take to be sent, in place of queueing it without a bound.

    Args:
        host: The address to listen on.
        port: The port.
        take: Takes every datagram; must return at once.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(self, host: str, port: int, take: Take) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._take = take
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            self._tune(family)
            self.socket.bind((host, port))
        except BaseException:
            self.socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.socket, self._read)

    def _tune(self, family: int) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        with suppress(OSError):  # not every system lets it be said
            if family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _EXPEDITED)
            else:
                self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED)

    def _read(self) -> None:
        for _ in range(_MAX_AT_ONCE):
            if self.socket.fileno() < 0:  # closed by whoever took the last one
                return
            try:
                data, source = self.socket.recvfrom(MAX_PACKET_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:  # an earlier datagram of ours met nobody there: timeouts tell
                continue
            self._take(data, (source[0].removeprefix("::ffff:"), source[1]))

    def sendto(self, data: bytes, target: Address) -> None:
        """Send one datagram, if the system takes it."""
        with suppress(OSError):
            self.socket.sendto(data, target)

    def close(self) -> None:
        """Give the port back; a second time does nothing."""
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket)
            self.socket.close()


def open_pair(
    host: str, ports: tuple[int, int], take_rtp: Take, take_rtcp: Take
) -> tuple[Endpoint, Endpoint, int]:
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
    start = secrets.randbelow(pairs) if pairs > 0 else 0
    for step in range(min(_MAX_TRIES, pairs)):
        port = first + 2 * ((start + step) % pairs)
        try:
            rtp = Endpoint(host, port, take_rtp)
        except OSError:
            continue
        try:
            return rtp, Endpoint(host, port + 1, take_rtcp), port
        except OSError:
            rtp.close()
    raise AtCapacity(
        "No port is free for a call's audio.",
        hint="Give RTP a wider range of ports.",
        code="no_ports",
    )
