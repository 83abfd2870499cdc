"""Calls by SIP to a real server: signalling and audio over real sockets, by a telephone of a page.

The telephone reads and checks what it gets by the door's own message reader, but writes its
messages and packets itself.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from apps.core.resources import resource
from apps.store.tables import call_events, calls
from apps.voice.audiofile import read_audio
from apps.voice.doors.sip.message import Request, Response, read_message
from apps.voice.resample import resample
from apps.voice.rtp.sdp import read_sdp
from tests.e2e.phone import from_mulaw, mulaw
from tests.e2e.servers import Running, running, wait_until

pytestmark = pytest.mark.slow

QUIET = b"\xff" * 160


@pytest.fixture(scope="module")
def sip(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Running]:
    """A server with one line, whose engines need no process."""
    settings = {
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_MAX_CALLS": "1",
        "TOM_SIP": "true",
        "TOM_SIP_HOST": "127.0.0.1",
        "TOM_SIP_PORT": "0",
        "TOM_SIP_RTP_PORTS": "30100-30199",
    }
    with running(tmp_path_factory.mktemp("sip"), model_cache, **settings) as server:
        yield server
        wait_until(lambda: server.ready()["live_calls"] == 0)
        assert server.complaints() == []


def port_of(server: Running) -> int:
    listening = [line for line in server.log() if line["event"] == "sip_listening"]
    return next(int(line["port"]) for line in listening if line["transport"] == "udp")


class _Queue(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait(data)


class Telephone:
    """Two sockets, and one call."""

    def __init__(self, server_port: int, name: str) -> None:
        self.server, self.name = ("127.0.0.1", server_port), name
        self.seq, self.remote_tag = 0, ""
        self.media: tuple[str, int] | None = None
        self.to_say = bytearray()
        self._packet = 0

    async def plug_in(self) -> None:
        loop = asyncio.get_running_loop()
        local = ("127.0.0.1", 0)
        self._sip, self._signals = await loop.create_datagram_endpoint(_Queue, local_addr=local)
        self._rtp, self._audio = await loop.create_datagram_endpoint(_Queue, local_addr=local)

    def unplug(self) -> None:
        self._sip.close()
        self._rtp.close()

    # --- signalling

    def sdp(self, direction: str = "sendrecv") -> bytes:
        port = self._rtp.get_extra_info("sockname")[1]
        return (
            f"v=0\r\no=- 1 {self.seq} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a={direction}\r\n"
        ).encode()

    def request(self, method: str, body: bytes = b"", *, seq: int | None = None) -> None:
        if seq is None:
            self.seq += 1
        number = seq or self.seq
        port = self._sip.get_extra_info("sockname")[1]
        branch = f"{self.name}{number}" + ("ack" if method == "ACK" else "")
        lines = [
            f"{method} sip:kfz@127.0.0.1;lang=en SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{branch}",
            f"From: <sip:{self.name}@127.0.0.1>;tag=t{self.name}",
            "To: <sip:kfz@127.0.0.1>" + (f";tag={self.remote_tag}" if self.remote_tag else ""),
            f"Call-ID: {self.name}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{self.name}@127.0.0.1:{port}>",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._sip.sendto("\r\n".join([*lines, "", ""]).encode() + body, self.server)

    async def final(self, method: str) -> Response:
        """Wait for a request's final answer; others that come before it are passed over."""
        async with asyncio.timeout(10):
            while True:
                message = read_message(await self._signals.received.get())
                match message:
                    case Response(status=status) if status >= 200 and message.seq_method == method:
                        return message

    async def invite(self, direction: str = "sendrecv") -> Response:
        """Call, or change the call; an answer is acknowledged."""
        self.request("INVITE", self.sdp(direction))
        answer = await self.final("INVITE")
        if answer.is_success:
            self.remote_tag = answer.recipient.tag
            media = read_sdp(answer.body).media[0]
            self.media = (media.host, media.port)
        self.request("ACK", seq=answer.seq)
        return answer

    async def hang_up(self) -> int:
        self.request("BYE")
        return (await self.final("BYE")).status

    # --- audio

    def _send(self, kind: int, payload: bytes, timestamp: int) -> None:
        assert self.media is not None
        head = struct.pack("!BBHII", 0x80, kind, self._packet & 0xFFFF, timestamp, 7)
        self._packet += 1
        self._rtp.sendto(head + payload, self.media)

    async def talk(self) -> None:
        loop = asyncio.get_running_loop()
        due, timestamp = loop.time(), 0
        while True:
            frame = bytes(self.to_say[:160]).ljust(160, b"\xff")
            del self.to_say[:160]
            self._send(0, frame, timestamp)
            timestamp += 160
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def press(self, event: int) -> None:
        """Press and let go of a key (RFC 4733)."""
        for ends, duration in ((0, 160), (0, 320), (0x80, 480), (0x80, 480), (0x80, 480)):
            self._send(101, struct.pack("!BBH", event, ends | 10, duration), 90_000)

    async def hear(self, seconds: float) -> bytes:
        """Return the µ-law that comes within some time."""
        heard = bytearray()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    packet = await self._audio.received.get()
            except TimeoutError:
                break
            assert packet[1] & 0x7F == 0
            heard += packet[12:]
        return bytes(heard)

    def forget_audio(self) -> None:
        while not self._audio.received.empty():
            self._audio.received.get_nowait()


@asynccontextmanager
async def telephone(server: Running, name: str) -> AsyncIterator[Telephone]:
    phone = Telephone(port_of(server), name)
    await phone.plug_in()
    try:
        yield phone
    finally:
        phone.unplug()


def level(audio: bytes) -> float:
    return float(np.sqrt(np.mean(from_mulaw(audio).astype(np.float64) ** 2))) if audio else 0.0


def test_a_call_with_audio_both_ways_a_key_a_hold_and_a_second_caller_who_finds_it_busy(
    sip: Running,
) -> None:
    question = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, 8000)

    async def scenario() -> None:
        async with telephone(sip, "alice") as phone, telephone(sip, "bob") as other:
            answer = await phone.invite()
            assert answer.status == 200
            talking = asyncio.create_task(phone.talk())
            try:
                assert level(await phone.hear(1.0)) > 200
                refused = await other.invite()
                assert (refused.status, refused.headers.get("retry-after")) == (503, "5")
                phone.to_say += mulaw(question)[:8000]
                await asyncio.sleep(1.0)
                phone.press(1)
                await asyncio.sleep(0.5)
                held = await phone.invite("sendonly")
                assert read_sdp(held.body).media[0].direction.value == "recvonly"
                await asyncio.sleep(0.2)
                phone.forget_audio()
                assert await phone.hear(0.5) == b""
                assert (await phone.invite()).status == 200
                assert level(await phone.hear(1.0)) > 200
                assert await phone.hang_up() == 200
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)

    asyncio.run(scenario())
    wait_until(lambda: sip.ready()["live_calls"] == 0)
    with sip.database().reading() as conn:
        (row,) = conn.execute(calls.select().where(calls.c.door == "sip")).all()
        log = conn.execute(call_events.select().where(call_events.c.call_ref == row.call_ref)).all()
    kinds = [event.kind for event in log]
    assert (row.language, row.reason) == ("en", "caller_hung_up")
    assert kinds.count("caller.hold") == 2
    asked = [str(event.data) for event in log if event.kind == "fsm.transcript"]
    assert any("open" in question for question in asked)  # what the key asks
    assert sip.metric("tom_calls_refused_total", door="sip", reason="busy") == 1


def test_a_caller_who_gives_up_while_the_call_is_set_up(sip: Running) -> None:
    async def scenario() -> tuple[int, int]:
        async with telephone(sip, "carol") as phone:
            phone.request("INVITE", phone.sdp())
            phone.request("CANCEL", seq=1)
            cancelled, invite = None, None
            async with asyncio.timeout(10):
                while cancelled is None or invite is None:
                    message = read_message(await phone._signals.received.get())
                    assert not isinstance(message, Request)
                    if message.seq_method == "CANCEL":
                        cancelled = message.status
                    elif message.is_final:
                        invite = message.status
                        phone.remote_tag = message.recipient.tag
            phone.request("ACK", seq=1)
            return cancelled, invite

    assert asyncio.run(scenario()) == (200, 487)
    wait_until(lambda: sip.ready()["live_calls"] == 0)
