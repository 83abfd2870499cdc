"""A server whose connections do not hold one another up, whatever one of them sends at once."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect

from apps.cli.fair_protocols import FRAME_BURST, SLICE_BYTES, FairHttp, FairWebSocket
from apps.cli.serve import _listen

UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def _count(request):
    return PlainTextResponse(str(len(await request.body())))


async def _echo(websocket):
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


class Longest:
    """Measures the longest time in which the loop did nothing else."""

    def __init__(self):
        self.s = 0.0

    async def watch(self):
        loop = asyncio.get_running_loop()
        while True:
            at = loop.time()
            await asyncio.sleep(0.002)
            self.s = max(self.s, loop.time() - at)


@asynccontextmanager
async def echoing():
    async with (
        serving() as (port, _),
        connect(f"ws://127.0.0.1:{port}/echo", compression=None) as client,
        asyncio.timeout(10),
    ):
        yield client


@asynccontextmanager
async def serving():
    app = Starlette(
        routes=[Route("/count", _count, methods=["POST"]), WebSocketRoute("/echo", _echo)]
    )
    config = uvicorn.Config(
        app, http=FairHttp, ws=FairWebSocket, ws_per_message_deflate=False, lifespan="off",
        log_config=None, ws_max_size=65_536, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server, listener = uvicorn.Server(config), _listen("127.0.0.1", 0)
    listener.listen()
    task = asyncio.create_task(server._serve([listener]))
    longest = Longest()
    watching = asyncio.create_task(longest.watch())
    try:
        yield listener.getsockname()[1], longest
    finally:
        watching.cancel()
        server.should_exit = True
        await task


def frame(opcode, payload=b"", fin=True):
    head = bytes([0x80 * fin | opcode])
    size = bytes([0x80 | len(payload)])
    return head + size + bytes(4) + payload


@pytest.mark.parametrize("opcode", [0x9, 0x1, 0x2])
async def test_a_flood_of_tiny_frames_holds_nobody_up_and_ends_its_connection(opcode):
    async with serving() as (port, longest):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE)
        assert b"101" in await reader.readline()
        writer.write(frame(opcode) * 60_000)
        async with asyncio.timeout(10):
            try:
                while await reader.read(65_536):
                    pass
            except ConnectionError:
                pass
        assert longest.s < 0.5
        writer.close()


async def test_tiny_chunks_of_a_request_hold_nobody_up():
    async with serving() as (port, longest):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n")
        async with asyncio.timeout(20):
            answer = await reader.readuntil(b"30000")
        assert answer.startswith(b"HTTP/1.1 200")
        assert longest.s < 0.25
        writer.close()


async def test_what_honest_clients_send_arrives_whole():
    async with echoing() as client:
        for size in (0, 1, SLICE_BYTES - 6, SLICE_BYTES, 3 * SLICE_BYTES + 1, 65_536):
            data = os.urandom(size)
            await client.send(data)
            assert await client.recv() == data
        await client.send([b"a" * 3000, b"", b"b" * 3000])
        assert await client.recv() == b"a" * 3000 + b"b" * 3000
        await (await client.ping())


async def test_what_a_network_held_back_for_seconds_arrives_whole_too():
    async with echoing() as client:
        many = [os.urandom(640) for _ in range(400)]
        assert len(many) < FRAME_BURST
        await asyncio.gather(*(client.send(data) for data in many))
        assert [await client.recv() for _ in many] == many


async def test_small_frames_leave_at_once():
    listener = _listen("127.0.0.1", 0)
    listener.listen()
    nodelay = []

    async def met(reader, writer):
        taken = writer.get_extra_info("socket")
        nodelay.append(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(met, sock=listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        await reader.read()
        writer.close()
    assert nodelay == [1]
