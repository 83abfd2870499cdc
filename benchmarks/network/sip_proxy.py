"""Puts the audio of SIP calls on a bad network, between any telephone and the server.

    python -m benchmarks.network.sip_proxy --listen 127.0.0.1:5062 --to 127.0.0.1:5060 --seed 1

A telephone dials the proxy. Signalling passes unharmed (UDP only); the audio addresses in what the
server answers are replaced by those of proxies, so that audio takes the bad way there and, since
the server answers to where it comes from, back.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, suppress
from types import TracebackType

from benchmarks.network.trouble import BAD, GOOD, Fates, Network
from benchmarks.network.udp_proxy import Address, UdpProxy, arguments_of, network_of

_HOST = re.compile(rb"^c=IN IP4 ([0-9.]+)", re.MULTILINE)
_PORT = re.compile(rb"^m=audio ([1-9][0-9]*) ", re.MULTILINE)
_LENGTH = re.compile(rb"^(content-length|l)[ \t]*:[^\r]*", re.MULTILINE | re.IGNORECASE)


def media_address(message: bytes) -> Address | None:
    """Return where a SIP message's description wants audio; None without one."""
    _, _, body = message.partition(b"\r\n\r\n")
    host, port = _HOST.search(body), _PORT.search(body)
    return (host[1].decode(), int(port[1])) if host and port else None


def redirected(message: bytes, media: Address) -> bytes:
    """Return a SIP message whose description wants audio elsewhere."""
    head, gap, body = message.partition(b"\r\n\r\n")
    body = _HOST.sub(b"c=IN IP4 %s" % media[0].encode(), body)
    body = _PORT.sub(b"m=audio %d " % media[1], body)
    body = re.sub(rb"^a=rtcp:.*\r\n", b"", body, flags=re.MULTILINE)
    return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + gap + body


class SipProxy(UdpProxy):
    """Carries SIP between telephones and one server, and their audio over a bad network.

    Args:
        server: Where the server takes SIP over UDP.
        seed: Makes the fate of every packet of audio.
        audio_network: What happens to audio; may be changed at any time by `trouble`.
        listen: Where telephones dial.
    """

    def __init__(
        self,
        server: Address,
        *,
        seed: int = 0,
        audio_network: Network = BAD,
        listen: Address = ("127.0.0.1", 0),
    ) -> None:
        super().__init__(server, network=GOOD, listen=listen)
        self._audio_seed, self._audio_network = seed, audio_network
        self._opened = AsyncExitStack()
        self.audio: dict[Address, UdpProxy] = {}

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every socket."""
        await super().__aexit__(kind, error, traceback)
        await self._opened.aclose()

    def trouble(self, network: Network) -> None:
        """Change what happens to audio, of calls that go on too."""
        self._audio_network = network
        for proxy in self.audio.values():
            proxy.network = network

    def answer(self, data: bytes, fates: Fates, source: Address) -> None:
        """Carry what the server sent back to a telephone, with the audio led astray."""
        media = media_address(data)
        if media is None:
            super().answer(data, fates, source)
        elif media in self.audio:
            super().answer(redirected(data, self.audio[media].address), fates, source)
        else:
            self.spawn(self._open(media, data, fates, source))

    async def _open(self, media: Address, data: bytes, fates: Fates, source: Address) -> None:
        seed = self._audio_seed + len(self.audio)
        listen = (self.address[0], 0)
        proxy = UdpProxy(media, seed=seed, network=self._audio_network, listen=listen)
        self.audio[media] = await self._opened.enter_async_context(proxy)
        super().answer(redirected(data, proxy.address), fates, source)


async def _run() -> None:
    arguments = arguments_of("A SIP proxy whose calls' audio is on a bad network.")
    proxy = SipProxy(
        arguments.to,
        seed=arguments.seed,
        audio_network=network_of(arguments),
        listen=arguments.listen,
    )
    async with proxy:
        print("listening on {}:{}".format(*proxy.address), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_run())
