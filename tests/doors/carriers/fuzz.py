"""Spoilt messages at a real server's carrier doors, while another call goes on beside them.

    python -m tests.doors.carriers.fuzz [--messages 100000] [--seed 7] [--door vonage]

Each protocol gets so many messages: recorded ones with parts cut, swapped, doubled or replaced, and
plain noise. The server must neither fail nor grow, and the call beside must not be late.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchmarks.ports import free_port
from tests.doors.parts import Fuzzed
from tests.e2e.carriers import NativePeer, on_the_line
from tests.e2e.servers import Running, running

PER_CONNECTION = 60
AT_ONCE = 4
CLOSE_S = 0.5
"""Where both sides close at the same moment, uvicorn may keep the connection for ten seconds."""
MOST_MB = 40.0
MOST_LATE_MS = 100.0
_FRAME = base64.b64encode(b"\xff" * 160).decode()
_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
_PCMU = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}

TWILIO = [
    {"event": "connected", "protocol": "Call", "version": "1.0.0"},
    {
        "event": "start",
        "start": {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": _FORMAT},
        "streamSid": "MZ1",
    },
    {"event": "media", "media": {"track": "inbound", "chunk": "1", "payload": _FRAME}},
    {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "5"}},
    {"event": "mark", "mark": {"name": "25"}},
    {"event": "stop", "stop": {"callSid": "CA1"}},
]
TELNYX = [
    {"event": "connected", "version": "1.0.0"},
    {"event": "start", "start": {"call_control_id": "v3:1", "media_format": _PCMU}},
    {"event": "media", "media": {"track": "inbound", "chunk": "7", "payload": _FRAME}},
    {"event": "dtmf", "dtmf": {"digit": "5"}},
    {"event": "mark", "mark": {"name": "25"}},
    {"event": "error", "payload": {"code": 100003}},
    {"event": "stop"},
]
VONAGE = [
    {"event": "websocket:connected", "content-type": "audio/l16;rate=16000"},
    {"event": "websocket:dtmf", "digit": "5", "duration": 260},
    {"event": "websocket:notify", "payload": {"mark": "25"}},
    {"event": "websocket:cleared"},
]
ASTERISK = [
    {"event": "MEDIA_START", "format": "ulaw", "optimal_frame_size": 160, "ptime": 20},
    {"event": "DTMF_END", "digit": "5"},
    {"event": "MEDIA_XOFF"},
    {"event": "MEDIA_XON"},
    {"event": "MEDIA_MARK_PROCESSED", "correlation_id": "25"},
    {"event": "STATUS", "queue_length": 4},
]
_ODD = [None, True, -1, 2**70, 1e300, "", "\ud800", "x" * 2000, [], {}, [[]], {"a": {}}, "٣", "\0"]


def spoil(message: Any, chance: random.Random) -> Any:
    """Return a message with something in it other than it should be."""
    if isinstance(message, dict) and message and chance.random() < 0.9:
        spoilt = dict(message)
        key = chance.choice(list(spoilt))
        match chance.randrange(5):
            case 0:
                del spoilt[key]
            case 1:
                spoilt[chance.choice(["event", "payload", "x"])] = spoilt.pop(key)
            case _:
                spoilt[key] = spoil(spoilt[key], chance)
        return spoilt
    if isinstance(message, str) and message and chance.random() < 0.5:
        cut = chance.randrange(len(message))
        return message[:cut] + chance.choice(["", "?", "\ud800", message]) + message[cut + 1 :]
    return chance.choice(_ODD)


def noise(chance: random.Random) -> str | bytes:
    """Return what no carrier ever sends."""
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randrange(5000))
        case 1:
            return "[" * chance.randrange(1, 5000)
        case 2:
            return "".join(chr(chance.randrange(1, 0xD7FF)) for _ in range(chance.randrange(50)))
        case _:
            return json.dumps(chance.choice(_ODD))


def any_message(kinds: list[dict[str, Any]], chance: random.Random) -> str | bytes:
    """Return one message: most are almost right."""
    if chance.random() < 0.15:
        return noise(chance)
    if chance.random() < 0.2:
        return b"\xff" * chance.choice([0, 1, 159, 160, 640, 4000])
    message = chance.choice(kinds)
    text = json.dumps(message if chance.random() < 0.4 else spoil(message, chance))
    return text.replace("\\ud800", "?") if chance.random() < 0.5 else text


async def fuzz_socket(
    url: str, kinds: list[dict[str, Any]], messages: int, chance: random.Random
) -> None:
    """Send so many messages to a WebSocket door, over as many connections as it takes."""
    left = messages
    while left > 0:
        try:
            async with connect(
                url,
                compression=None,
                subprotocols=["media"],  # type: ignore[list-item]
                close_timeout=CLOSE_S,
            ) as socket:
                drain = asyncio.create_task(_drain(socket))
                try:
                    for first in kinds[: 2 if kinds[0].get("event") == "connected" else 1]:
                        await socket.send(json.dumps(first))
                    for _ in range(PER_CONNECTION):
                        left -= 1
                        await socket.send(any_message(kinds, chance))
                finally:
                    await socket.close()  # still draining: a full queue would hide the answer
                    drain.cancel()
        except (WebSocketException, OSError):
            continue


async def _drain(socket: Any) -> None:
    async for _ in socket:
        pass


async def fuzz_packets(port: int, messages: int, chance: random.Random) -> None:
    """Send so many packets to AudioSocket, over as many connections as it takes."""
    left = messages
    while left > 0:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        drain = asyncio.create_task(reader.read(-1))
        try:
            writer.write(b"\x01\x00\x10" + UUID(int=chance.getrandbits(128)).bytes)
            for _ in range(PER_CONNECTION):
                left -= 1
                kind = chance.choice([0, 1, 3, 0x10, 0x10, 0x12, 0x13, 0xFF, chance.randrange(256)])
                payload = chance.randbytes(chance.choice([0, 1, 16, 320, 320, 640, 5000]))
                size = len(payload) if chance.random() < 0.95 else chance.randrange(65_536)
                writer.write(struct.pack(">BH", kind, size) + payload)
                await writer.drain()
            writer.write_eof()
            await drain  # the server has let go of it: more at once would only find it busy
        except OSError:
            pass
        finally:
            drain.cancel()
            writer.close()


class Beside(NativePeer):
    """The call that must not notice: it keeps when each frame came."""

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self.came: list[float] = []

    def hears(self, samples: Any, rate_hz: int = 8000) -> None:
        self.came.append(time.monotonic())
        super().hears(samples, rate_hz)


def memory_mb(server: Running) -> float:
    """Return how much memory the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


Fuzz = Callable[[int, random.Random], Awaitable[None]]
"""Sends so many messages, spoilt as chance has it."""


def carriers(server: Running, port: int) -> dict[str, Fuzz]:
    """Return what fuzzes each carrier's door of a server; `port` is AudioSocket's."""
    base = server.url.replace("http", "ws")
    kinds = {"twilio": TWILIO, "telnyx": TELNYX, "vonage": VONAGE, "asterisk": ASTERISK}
    sockets: dict[str, Fuzz] = {
        name: partial(fuzz_socket, f"{base}/{name}", some) for name, some in kinds.items()
    }
    return {**sockets, "audiosocket": partial(fuzz_packets, port)}


async def run(server: Running, doors: dict[str, Fuzz], messages: int, seed: int) -> list[Fuzzed]:
    """Fuzz doors in turn, with a call beside each; returns how they stood it."""
    stood = []
    for name, fuzz in doors.items():
        await fuzz(min(2000, messages), random.Random(seed))  # what is loaded once is no growth
        before_mb, began = memory_mb(server), time.monotonic()
        chances = [random.Random(f"{seed}{name}{n}") for n in range(AT_ONCE)]
        late = await _with_a_call_beside(
            server, [fuzz(messages // AT_ONCE, chance) for chance in chances]
        )
        late_ms = late[len(late) * 99 // 100]
        grown_mb = memory_mb(server) - before_mb
        wrong = [
            *([f"memory grew by {grown_mb:.0f} MB"] if grown_mb > MOST_MB else []),
            *([f"the call beside was {late_ms:.0f} ms late"] if late_ms > MOST_LATE_MS else []),
            *(["the server ended"] if server.process.poll() is not None else []),
        ]
        beside = f"its frames late by {late_ms:.0f} ms at p99, {late[-1]:.0f} ms at most"
        took_s = time.monotonic() - began
        stood.append(Fuzzed(name, messages, took_s, grown_mb, beside, "; ".join(wrong)))
        stood[-1].tell()
    return stood


async def _with_a_call_beside(server: Running, work: list[Any]) -> list[float]:
    """Do work while a call goes on; returns how late its frames came after one another, sorted."""
    gaps = [0.0]
    async with connect(server.calls, compression=None) as socket:
        audio = {"encoding": "mulaw", "rate": 8000, "channels": 1}
        await socket.send(json.dumps({"type": "start", "language": "en", "audio": audio}))
        peer = Beside(socket)
        async with on_the_line(peer):
            asking = asyncio.create_task(_keep_talking(peer))
            await asyncio.gather(*work)
            asking.cancel()
            await socket.close()
    for earlier, later in zip(peer.came, peer.came[1:], strict=False):
        if later - earlier < 1.0:  # longer is a pause; of the rest, few are the keys' own
            gaps.append(max(0.0, (later - earlier) * 1000 - 20))
    assert peer.came, "the call beside heard nothing"
    return sorted(gaps)


async def _keep_talking(peer: Beside) -> None:
    while True:
        await asyncio.sleep(5)
        await peer.press("1")


@contextmanager
def fuzzed_server() -> Iterator[tuple[Running, int]]:
    """Run a server with room for many calls; returns it with AudioSocket's port."""
    port = free_port()
    settings = {
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_MAX_CALLS": "64",
        "TOM_CALLS_PER_MINUTE": "0",
        "TOM_AUDIOSOCKET_PORT": str(port),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "fuzz", **settings) as server,
    ):
        yield server, port


def main() -> int:
    """Run the whole; returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--door", default="", help="one of them alone")
    given = parser.parse_args()
    with fuzzed_server() as (server, port):
        doors = {n: f for n, f in carriers(server, port).items() if given.door in ("", n)}
        stood = asyncio.run(run(server, doors, given.messages, given.seed))
        complaints = set(server.complaints())
    sys.stdout.writelines(f"the log complains: {event}\n" for event in complaints)
    return 1 if complaints or any(one.wrong for one in stood) else 0


if __name__ == "__main__":
    sys.exit(main())
