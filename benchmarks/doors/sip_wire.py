"""A telephone of a page: a call by SIP over UDP, and PCMU over RTP."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable

from apps.core.audio import Samples
from apps.core.clock import loop_ms
from apps.voice.doors.sip.message import Response, read_message
from apps.voice.g711 import ulaw_decode, ulaw_encode
from apps.voice.rtp.sdp import read_sdp
from benchmarks.doors.wires import Listener, Ports, frames

PATIENCE_S = 10.0
HEADER_BYTES = 12
_PCMU = 0


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data)


class SipWire:
    """A caller by SIP.

    Args:
        name: Names the caller and the call.
    """

    rate_hz = 8000
    streams = True

    def __init__(self, name: str) -> None:
        self._name = name
        self._server = ("127.0.0.1", 0)
        self._media = ("127.0.0.1", 0)
        self._answers: asyncio.Queue[Response] = asyncio.Queue()
        self._remote_tag = ""
        self._sequence = random.randrange(2**15)
        self._timestamp = random.randrange(2**31)
        self._ssrc = random.randrange(2**32)
        self._signals: asyncio.DatagramTransport
        self._audio: asyncio.DatagramTransport

    def encode(self, samples: Samples) -> list[bytes]:
        """Return µ-law."""
        return [ulaw_encode(frame) for frame in frames(samples, self.rate_hz)]

    async def open(self, ports: Ports, listener: Listener) -> None:
        """Call, and wait until the call is answered."""
        loop, local = asyncio.get_running_loop(), ("127.0.0.1", 0)
        self._server = ("127.0.0.1", ports.sip)

        def hear(packet: bytes) -> None:
            if packet[1] & 0x7F == _PCMU:
                listener.heard(loop_ms(), ulaw_decode(packet[HEADER_BYTES:]))

        self._signals, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._take_signal), local_addr=local
        )
        self._audio, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(hear), local_addr=local
        )
        self._request("INVITE", 1, self._description())
        answer = await self._final("INVITE")
        media = read_sdp(answer.body).media[0]
        self._media = (media.host, media.port)

    async def send(self, payload: bytes) -> None:
        """Send one packet."""
        head = struct.pack(
            "!BBHII", 0x80, _PCMU, self._sequence & 0xFFFF, self._timestamp, self._ssrc
        )
        self._sequence += 1
        self._timestamp = self._timestamp + len(payload) & 0xFFFFFFFF
        self._audio.sendto(head + payload, self._media)

    async def close(self) -> None:
        """Hang up."""
        try:
            self._request("BYE", 2)
            await self._final("BYE")
        finally:
            self._signals.close()
            self._audio.close()

    # --- signalling

    def _take_signal(self, data: bytes) -> None:
        message = read_message(data)
        if not isinstance(message, Response) or message.status < 200:
            return
        if message.seq_method == "INVITE":  # every time: the first ACK may have been lost
            self._remote_tag = message.recipient.tag
            self._request("ACK", message.seq)
        self._answers.put_nowait(message)

    async def _final(self, method: str) -> Response:
        """Wait for a request's answer.

        Raises:
            OSError: None came, or a refusal.
        """
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await self._answers.get()).seq_method != method:
                pass
        if not answer.is_success:
            raise ConnectionRefusedError(f"{method} was answered with {answer.status}")
        return answer

    def _description(self) -> bytes:
        port = self._audio.get_extra_info("sockname")[1]
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {_PCMU}\r\na=sendrecv\r\n"
        ).encode()

    def _request(self, method: str, seq: int, body: bytes = b"") -> None:
        port = self._signals.get_extra_info("sockname")[1]
        tag = f";tag={self._remote_tag}" if self._remote_tag else ""
        lines = [
            f"{method} sip:tom@127.0.0.1;lang=en SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{self._name}{seq}{method}",
            f"From: <sip:{self._name}@127.0.0.1>;tag=t{self._name}",
            f"To: <sip:tom@127.0.0.1>{tag}",
            f"Call-ID: {self._name}-{self._ssrc}",
            f"CSeq: {seq} {method}",
            f"Contact: <sip:{self._name}@127.0.0.1:{port}>",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._signals.sendto("\r\n".join([*lines, "", ""]).encode() + body, self._server)
