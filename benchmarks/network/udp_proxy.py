"""A UDP proxy with a bad network inside: what clients send to it goes on to one server.

    async with UdpProxy(("127.0.0.1", 10_000), seed=1, network=BAD) as proxy:
        client.send_to(proxy.address)
        ...
        proxy.network = GOOD

Every client gets a socket of its own towards the server, as behind NAT, and what the server answers
there goes back to that client. Run it by itself between any two programs:

    python -m benchmarks.network.udp_proxy --listen 127.0.0.1:4000 --to 127.0.0.1:10000 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from benchmarks.network.trouble import BACK, BAD, FORTH, Fates, Network

Address = tuple[str, int]
MAX_CLIENTS = 1000


@dataclass(slots=True)
class Tally:
    """What became of the packets of one way."""

    carried: int = 0
    lost: int = 0


class _Endpoint(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        pass


@dataclass(slots=True)
class _Client:
    """One client's way to the server; what comes before its socket stands waits in `early`."""

    forth: Fates
    back: Fates
    transport: asyncio.DatagramTransport | None = None
    early: list[bytes] = field(default_factory=list)


class UdpProxy:
    """Carries datagrams between clients and one server.

    Args:
        server: Where they go.
        seed: Makes the fate of every packet.
        network: What happens to them; may be changed at any time.
        listen: Where clients send to; port 0 for a free one.
    """

    def __init__(
        self,
        server: Address,
        *,
        seed: int = 0,
        network: Network = BAD,
        listen: Address = ("127.0.0.1", 0),
    ) -> None:
        self._server, self._seed, self._listen = server, seed, listen
        self.network = network
        self.tallies = {FORTH: Tally(), BACK: Tally()}
        self._clients: dict[Address, _Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._front: asyncio.DatagramTransport

    async def __aenter__(self) -> UdpProxy:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Endpoint(self._from_client), local_addr=self._listen
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every socket; packets under way are dropped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._front.close()
        for client in self._clients.values():
            if client.transport is not None:
                client.transport.close()

    @property
    def address(self) -> Address:
        """Where clients send to."""
        host, port = self._front.get_extra_info("sockname")[:2]
        return host, port

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for as long as the proxy lasts."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _from_client(self, data: bytes, source: Address) -> None:
        client = self._clients.get(source)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                return
            number = self._seed * MAX_CLIENTS + len(self._clients)
            client = _Client(Fates(number, FORTH), Fates(number, BACK))
            self._clients[source] = client
            self.spawn(self._connect(client, source))
        if client.transport is None:
            client.early.append(data)
        else:
            self._carry(data, FORTH, client.forth, client.transport, self._server)

    async def _connect(self, client: _Client, source: Address) -> None:
        def answer(data: bytes, _server: Address) -> None:
            self.answer(data, client.back, source)

        loop = asyncio.get_running_loop()
        client.transport, _ = await loop.create_datagram_endpoint(
            lambda: _Endpoint(answer), local_addr=(self._listen[0], 0)
        )
        for data in client.early:
            self._carry(data, FORTH, client.forth, client.transport, self._server)
        client.early.clear()

    def answer(self, data: bytes, fates: Fates, source: Address) -> None:
        """Carry what the server sent back to a client."""
        self._carry(data, BACK, fates, self._front, source)

    def _carry(
        self,
        data: bytes,
        way: str,
        fates: Fates,
        transport: asyncio.DatagramTransport,
        target: Address,
    ) -> None:
        loop = asyncio.get_running_loop()
        leaves_ms = fates.next(self.network, loop.time() * 1000)
        if leaves_ms is None:
            self.tallies[way].lost += 1
            return
        self.tallies[way].carried += 1
        loop.call_at(leaves_ms / 1000, _send, transport, data, target)


def _send(transport: asyncio.DatagramTransport, data: bytes, target: Address) -> None:
    if not transport.is_closing():
        transport.sendto(data, target)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def arguments_of(description: str) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 0))
    parser.add_argument("--to", type=_address, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loss", type=float, default=BAD.loss)
    parser.add_argument("--delay-ms", type=float, default=BAD.delay_ms)
    parser.add_argument("--jitter-sd-ms", type=float, default=BAD.jitter_sd_ms)
    parser.add_argument("--max-jitter-ms", type=float, default=BAD.max_jitter_ms)
    parser.add_argument("--in-order", action="store_true")
    return parser.parse_args()


def network_of(arguments: argparse.Namespace) -> Network:
    """Return the network that the command line asks for."""
    return Network(
        loss=arguments.loss,
        delay_ms=arguments.delay_ms,
        jitter_sd_ms=arguments.jitter_sd_ms,
        max_jitter_ms=arguments.max_jitter_ms,
        reorder=not arguments.in_order,
    )


async def _run() -> None:
    arguments = arguments_of("A UDP proxy that loses and delays packets.")
    network = network_of(arguments)
    proxy = UdpProxy(arguments.to, seed=arguments.seed, network=network, listen=arguments.listen)
    async with proxy:
        print("listening on {}:{}".format(*proxy.address), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_run())
