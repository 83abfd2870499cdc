"""A SIP telephone of a page: signalling and audio over real sockets.

It reads what it gets by the door's own message reader, but writes its messages and packets itself.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apps.voice.doors.sip.message import Response, read_message
from apps.voice.rtp.sdp import read_sdp
from tests.e2e.servers import Running


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
        self._packet = self._at = 0

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

    async def until_hung_up(self) -> None:
        """Wait until the other side hangs up, and say that it is well."""
        while True:
            raw = await self._signals.received.get()
            if raw.startswith(b"BYE "):
                break
        same = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
        lines = [line for line in raw.split(b"\r\n") if line.lower().startswith(same)]
        answer = [b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""]
        self._sip.sendto(b"\r\n".join(answer), self.server)

    async def hang_up(self) -> int:
        self.request("BYE")
        return (await self.final("BYE")).status

    # --- audio

    def _send(self, kind: int, payload: bytes, timestamp: int) -> None:
        assert self.media is not None
        head = struct.pack("!BBHII", 0x80, kind, self._packet & 0xFFFF, timestamp, 7)
        self._packet += 1
        self._rtp.sendto(head + payload, self.media)

    def send_frame(self, frame: bytes) -> None:
        """Send 20 ms of µ-law."""
        self._send(0, frame, self._at)
        self._at += 160

    async def talk(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            frame = bytes(self.to_say[:160]).ljust(160, b"\xff")
            del self.to_say[:160]
            self.send_frame(frame)
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def press(self, event: int) -> None:
        """Press and let go of a key (RFC 4733)."""
        for ends, duration in ((0, 160), (0, 320), (0x80, 480), (0x80, 480), (0x80, 480)):
            self._send(101, struct.pack("!BBH", event, ends | 10, duration), self._at)

    async def receive(self) -> bytes:
        """Return the µ-law of the next packet."""
        packet = await self._audio.received.get()
        assert packet[1] & 0x7F == 0
        return packet[12:]

    async def hear(self, seconds: float) -> bytes:
        """Return the µ-law that comes within some time."""
        heard = bytearray()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    heard += await self.receive()
            except TimeoutError:
                break
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
