"""The sockets of the SIP door: UDP, TCP and TLS, in and out.

Whatever a message came by is its `Flow`; what is sent to the same peer goes back by it. Buffers,
connections and what one address may send are bounded.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from apps.core.clock import loop_ms
from apps.voice.doors.sip.addresses import Peer, resolve
from apps.voice.doors.sip.framing import PING, PONG, Framer
from apps.voice.doors.sip.headers import BadMessage
from apps.voice.doors.sip.limits import AddressBuckets
from apps.voice.doors.sip.message import parts_of
from apps.voice.doors.sip.uri import DEFAULT_PORTS, Uri

MAX_CONNECTIONS = 1000
MAX_CONNECTIONS_OF_ONE = 100
MAX_UNSENT_BYTES = 256 * 1024
IDLE_S = 900.0
CONNECT_S = 5.0
MESSAGES_PER_S = 200.0
MESSAGE_BURST = 1000.0

log = structlog.get_logger(__name__)


class Flow(Protocol):
    """A way to one peer."""

    @property
    def transport(self) -> str:
        """By what: ``udp``, ``tcp`` or ``tls``."""
        ...

    @property
    def peer(self) -> Peer:
        """The peer's address and port."""
        ...

    @property
    def local(self) -> Peer:
        """This side's."""
        ...

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    def send(self, data: bytes) -> None:
        """Send one message; to a peer who is gone it does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class UdpFlow:
    """Datagrams to and from one address."""

    socket: asyncio.DatagramTransport
    peer: Peer
    local: Peer
    transport: str = "udp"

    @property
    def closed(self) -> bool:
        """Whether the listening socket is closed."""
        return self.socket.is_closing()

    def send(self, data: bytes) -> None:
        """Send one datagram."""
        if not self.closed:
            self.socket.sendto(data, self.peer)

    def to(self, peer: Peer) -> UdpFlow:
        """Return a flow of the same socket to another address."""
        return UdpFlow(self.socket, peer, self.local)


class StreamFlow:
    """One TCP or TLS connection."""

    def __init__(self, writer: asyncio.StreamWriter, transport: str) -> None:
        self._writer, self.transport = writer, transport
        self.peer: Peer = writer.get_extra_info("peername")[:2]
        self.local: Peer = writer.get_extra_info("sockname")[:2]

    @property
    def closed(self) -> bool:
        """Whether the connection is closed."""
        return self._writer.is_closing()

    def send(self, data: bytes) -> None:
        """Queue a message; a peer who reads nothing loses the connection."""
        if self.closed:
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class Transports:
    """All sockets of the SIP door.

    Args:
        receive: Takes every message that comes, with its flow; must return at once.
        server_tls: The certificate that TLS is served with.
        client_tls: Whom to believe when connecting out by TLS.
    """

    def __init__(
        self,
        receive: Callable[[Flow, bytes], None],
        *,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self._receive = receive
        self._server_tls, self._client_tls = server_tls, client_tls
        self._udp: asyncio.DatagramTransport | None = None
        self._servers: list[asyncio.Server] = []
        self._streams: dict[tuple[str, Peer], StreamFlow] = {}
        self._connections: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._limits = AddressBuckets(MESSAGES_PER_S, MESSAGE_BURST)
        self.bound: dict[str, Peer] = {}

    async def listen(self, transport: str, host: str, port: int) -> None:
        """Open a listening socket.

        Raises:
            OSError: The port cannot be had.
        """
        loop = asyncio.get_running_loop()
        if transport == "udp":
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(host, port)
            )
            self.bound["udp"] = self._udp.get_extra_info("sockname")[:2]
            return
        tls = self._server_tls if transport == "tls" else None
        accept = functools.partial(self._accept, transport)
        server = await asyncio.start_server(accept, host, port, ssl=tls)
        self._servers.append(server)
        self.bound[transport] = server.sockets[0].getsockname()[:2]

    async def flow_to(self, uri: Uri) -> Flow:
        """Return a flow to where a URI is reached, over a connection that is open where one is.

        Raises:
            OSError: It cannot be reached.
        """
        transport = uri.params.get("transport", "").lower() or uri.transport
        if uri.scheme == "sips":
            transport = "tls"
        port = uri.port or DEFAULT_PORTS.get(transport, 5060)
        peer = await resolve(uri.params.get("maddr") or uri.host, port, self._family())
        if transport == "udp":
            if self._udp is None:
                raise OSError("UDP is not open")
            return UdpFlow(self._udp, peer, self.bound["udp"])
        flow = self._streams.get((transport, peer))
        if flow is not None and not flow.closed:
            return flow
        return await self._connect(transport, peer, uri.host)

    def _family(self) -> int:
        bound = next(iter(self.bound.values()), ("0.0.0.0", 0))[0]  # noqa: S104 - only its family
        return socket.AF_INET6 if ":" in bound else socket.AF_INET

    async def _connect(self, transport: str, peer: Peer, name: str) -> Flow:
        if transport not in ("tcp", "tls"):
            raise OSError(f"{transport} is not spoken here")
        tls = (self._client_tls or ssl.create_default_context()) if transport == "tls" else None
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                *peer, ssl=tls, server_hostname=name if tls else None
            )
        flow = StreamFlow(writer, transport)
        task = asyncio.create_task(self._serve(reader, flow), name="sip connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flow

    async def _accept(
        self, transport: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        flow = StreamFlow(writer, transport)
        host = flow.peer[0]
        if (
            len(self._streams) >= MAX_CONNECTIONS
            or self._connections[host] >= MAX_CONNECTIONS_OF_ONE
        ):
            flow.close()
            return
        await self._serve(reader, flow)

    async def _serve(self, reader: asyncio.StreamReader, flow: StreamFlow) -> None:
        """Read one connection to its end."""
        name, host = (flow.transport, flow.peer), flow.peer[0]
        self._streams[name] = flow
        self._connections[host] += 1
        framer = Framer()
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    data = await reader.read(65_536)
                if not data:
                    return
                for message in framer.push(data):
                    self._one(flow, message)
                    await asyncio.sleep(0)  # what has arrived already does not suspend
        except (BadMessage, OSError, TimeoutError) as error:
            log.debug("sip_connection_ended", error=type(error).__name__)
        finally:
            flow.close()
            self._connections[host] -= 1
            if not self._connections[host]:
                del self._connections[host]
            if self._streams.get(name) is flow:
                del self._streams[name]

    def datagram(self, data: bytes, peer: Peer) -> None:
        """Take one datagram."""
        if self._udp is not None and data.strip(b"\r\n\0"):  # others keep a NAT open
            self._one(UdpFlow(self._udp, peer, self.bound["udp"]), data)

    def _one(self, flow: Flow, message: bytes) -> None:
        if not self._limits.allows(flow.peer[0], loop_ms(), _cost(message)):
            return
        if message == PING:
            flow.send(PONG)
        elif message != PONG:
            self._receive(flow, message)

    async def close(self) -> None:
        """Close every socket; afterwards others may be opened."""
        for server in self._servers:
            server.close()
        for flow in list(self._streams.values()):
            flow.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._udp is not None:
            self._udp.close()
        self._udp = None
        self._servers.clear()
        self.bound.clear()
        await asyncio.sleep(0)  # sockets are closed a turn of the loop later


def _cost(message: bytes) -> float:
    """Return for how many ordinary messages one counts, by how long it takes to read."""
    return max(1.0, len(message) / 4096, parts_of(message) / 50)


class _Datagrams(asyncio.DatagramProtocol):
    """Hands datagrams on; an ICMP error belongs to no call and says nothing that timers do not."""

    def __init__(self, transports: Transports) -> None:
        self._transports = transports

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transports.datagram(data, addr[:2])

    def error_received(self, exc: Exception) -> None:
        log.debug("sip_icmp", error=type(exc).__name__)
