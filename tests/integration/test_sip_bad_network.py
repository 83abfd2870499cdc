"""A SIP call whose audio takes the bad network: it is heard both ways, and soon again as before."""

import asyncio
import re

import numpy as np
import pytest

from apps.core.audio import FRAME_BYTES, level_dbfs
from apps.voice.doors.base import CallerAudio
from apps.voice.doors.sip.listen import sip_listener
from apps.voice.doors.sip.options import SipOptions
from apps.voice.rtp.codecs import codec_named
from apps.voice.rtp.packet import is_rtcp, read_rtp
from apps.voice.rtp.sender import Numbers, Sender
from apps.voice.rtp.session import RtpOptions
from benchmarks.network.sip_proxy import SipProxy, media_address
from benchmarks.network.trouble import BACK, BAD, FORTH, GOOD

HOST = "127.0.0.1"
TONE = (np.sin(2 * np.pi * 200 * np.arange(320) / 16_000) * 8000).astype("<i2").tobytes()


class Telephone(asyncio.DatagramProtocol):
    """A scripted telephone: one socket for SIP and one for audio."""

    def __init__(self):
        self.messages = asyncio.Queue()
        self.payloads = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        if data[0] & 0xC0 == 0x80:
            if not is_rtcp(data):
                self.payloads.append(read_rtp(data).payload)
        else:
            self.messages.put_nowait(data.decode())

    async def final(self):
        """The next answer that is not provisional."""
        while (message := await self.messages.get()).startswith("SIP/2.0 1"):
            pass
        return message


def request(method, number, port, tag="", body=""):
    lines = [
        f"{method} sip:tom@{HOST} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{method}{number};rport",
        "Max-Forwards: 70",
        f"From: <sip:caller@{HOST}>;tag=1",
        f"To: <sip:tom@{HOST}>{tag}",
        "Call-ID: bad-network",
        f"CSeq: {number} {method}",
        f"Contact: <sip:caller@{HOST}:{port}>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def offer(port):
    lines = ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0"]
    return "".join(f"{line}\r\n" for line in [*lines, f"m=audio {port} RTP/AVP 0"])


class Answering:
    """Takes one call, says a tone all the time, and counts what it hears."""

    def __init__(self):
        self.pcm = b""
        self.media = None

    async def take(self, door):
        await door.tell("call.started", {})
        speaking = asyncio.create_task(self._speak(door))
        async for event in door.events():
            if isinstance(event, CallerAudio):
                self.pcm += event.pcm
                self.media = door.call.media
        speaking.cancel()

    async def _speak(self, door):
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await door.play(TONE)
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))


async def call(proxy, answering):
    """Call through the proxy, 0.6 s of it on the bad network, and hang up."""
    loop = asyncio.get_running_loop()
    sip, telephone = await loop.create_datagram_endpoint(Telephone, local_addr=(HOST, 0))
    rtp, hearing = await loop.create_datagram_endpoint(Telephone, local_addr=(HOST, 0))
    port = sip.get_extra_info("sockname")[1]
    body = offer(rtp.get_extra_info("sockname")[1])
    sip.sendto(request("INVITE", 1, port, body=body), proxy.address)
    answer = await asyncio.wait_for(telephone.final(), 5)
    assert answer.startswith("SIP/2.0 200")
    tag = re.search(r"^To:.*(;tag=[^\r;]+)", answer, re.MULTILINE | re.IGNORECASE)[1]
    sip.sendto(request("ACK", 1, port, tag), proxy.address)
    target = media_address(answer.encode())
    sender = Sender(codec_named("PCMU"), 0, Numbers(7, 65_500, 0))
    begun = loop.time()
    behind_ms = {}
    for i in range(150):
        proxy.trouble(BAD if 40 <= i < 90 else GOOD)
        rtp.sendto(sender.frame(TONE), target)
        await asyncio.sleep(max(0.0, begun + (i + 1) * 0.02 - loop.time()))
        behind_ms[i] = (loop.time() - begun) * 1000 - len(answering.pcm) / 32
    media = answering.media
    sip.sendto(request("BYE", 2, port, tag), proxy.address)
    assert (await asyncio.wait_for(telephone.final(), 5)).startswith("SIP/2.0 200")
    sip.close()
    rtp.close()
    return hearing, behind_ms, media


@pytest.mark.timeout(30)
async def test_a_sip_call_withstands_the_bad_network():
    answering = Answering()
    options = SipOptions(
        host=HOST, port=0, transports=("udp",), rtp=RtpOptions(HOST, (25_000, 25_999))
    )
    async with (
        sip_listener(options, answering.take, lambda door: None) as endpoint,
        SipProxy(endpoint.bound["udp"][:2], seed=3) as proxy,
    ):
        hearing, behind_ms, media = await call(proxy, answering)
        (audio,) = proxy.audio.values()
    statistics = media.rtp.statistics
    before, bad, after = (
        float(np.median([behind_ms[i] for i in span]))
        for span in (range(15, 40), range(45, 90), range(120, 150))
    )
    assert audio.tallies[FORTH].lost > 0
    assert audio.tallies[BACK].lost > 0
    assert audio.tallies[FORTH].lost <= statistics.lost <= audio.tallies[FORTH].lost + 8
    assert bad - before <= 80
    assert after - before <= 20
    assert level_dbfs(answering.pcm[-20 * FRAME_BYTES :]) == pytest.approx(level_dbfs(TONE), abs=1)
    said = codec_named("PCMU").decode(b"".join(hearing.payloads[20:120]))
    assert level_dbfs(said) == pytest.approx(level_dbfs(TONE), abs=1)
