"""Damaged and forged packets, reports and descriptions: ``python -m benchmarks.network.fuzz``.

100,000 of each kind, from a seed. Nothing but a `ProtocolError` may come out, none may take long,
memory stays level, and a call beside them sounds as it does alone.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerAudio
from apps.voice.rtp.codecs import SILENCE, codec_named
from apps.voice.rtp.latch import Latch
from apps.voice.rtp.negotiation import (
    CODECS,
    Abilities,
    Local,
    accept,
    negotiate,
    write_answer,
    write_offer,
)
from apps.voice.rtp.packet import RtpPacket, build_rtp
from apps.voice.rtp.receiver import Counts, Receiver
from apps.voice.rtp.rtcp import ReportBlock, Sent, build_bye, build_report, read_rtcp
from apps.voice.rtp.sdp import read_sdp
from apps.voice.rtp.sender import Numbers, Sender
from apps.voice.rtp.srtp import Crypto, Srtp
from benchmarks.network.rtp_path import PEER, agreed_on

MAX_GROWTH_MB = 5.0
MAX_MS = 50.0  # of CPU time
_LOCAL = Local(*PEER, key=bytes(30))
_WARM_UP = 0.3


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return bytes with some changed, cut, doubled or added."""
    out = bytearray(data)
    for _ in range(dice.randrange(6)):
        if out:
            out[dice.randrange(len(out))] = dice.randrange(256)
    match dice.randrange(5):
        case 0:
            del out[dice.randrange(len(out) + 1) :]
        case 1:
            out += dice.randbytes(dice.randrange(300))
        case 2:
            at = dice.randrange(len(out) + 1)
            out[at:at] = out[: dice.randrange(60)]
    return bytes(out)


def rtp_taker(codec: str, dice: random.Random, *, encrypted: bool) -> Callable[[], None]:
    """Return what sends one damaged packet to one call."""
    one, two = (Crypto(1, "AES_CM_128_HMAC_SHA1_80", bytes([n] * 30)) for n in (1, 2))
    ours, theirs = (Srtp(one, two), Srtp(two, one)) if encrypted else (None, None)
    receiver = Receiver(
        agreed_on(codec), codec_named(codec), Latch(PEER, frozenset()), ours, Counts()
    )
    sender = Sender(codec_named(codec), receiver.agreed.codec.payload_type, Numbers(7, 0, 0))
    moments = iter(range(10**9))

    def take() -> None:
        packet = sender.frame(SILENCE)
        if dice.random() < 0.05:
            event = struct.pack("!BBH", dice.randrange(20), dice.randrange(256), 160)
            sequence = sender.numbers.sequence
            packet = build_rtp(RtpPacket(101, sequence, sender.numbers.timestamp, 7, event))
        elif theirs is not None and dice.random() < 0.7:
            packet = theirs.protect(packet)
        receiver.packet(damaged(packet, dice), PEER, next(moments) * 10.0)

    return take


def rtcp_taker(dice: random.Random) -> Callable[[], None]:
    """Return what reads one damaged report."""
    block = ReportBlock(1, 0.2, 3, 4, 5, 6, 7)
    report = build_report(1, "tom", Sent(1e9, 1, 2, 3), block) + build_bye(1, "tom")
    return lambda: void(read_rtcp(damaged(report, dice)))


def sdp_taker(dice: random.Random) -> Callable[[], None]:
    """Return what agrees on one damaged description."""
    offers = [write_offer(_LOCAL, Abilities(srtp=srtp)) for srtp in ("off", "required")]

    def take() -> None:
        description = read_sdp(damaged(dice.choice(offers), dice))
        with suppress(ProtocolError):
            accept(description, _LOCAL, Abilities())
        agreed = negotiate(description, Abilities(), bytes(30))
        read_sdp(write_answer(description, agreed, _LOCAL))

    return take


def void(_: object) -> None:
    """Drop a result."""


def neighbour() -> Iterator[bytes]:
    """Yield the audio of a call that nobody disturbs, a frame at a time."""
    codec = codec_named("PCMU")
    receiver = Receiver(agreed_on("PCMU"), codec, Latch(PEER, frozenset()), None, Counts())
    sender = Sender(codec_named("PCMU"), 0, Numbers(9, 0, 0))
    dice = random.Random(5)
    for i in range(10**9):
        events = receiver.packet(sender.frame(dice.randbytes(640)), PEER, i * 20.0)
        yield b"".join(event.pcm for event in events if isinstance(event, CallerAudio))


def memory_mb() -> float:
    """Return the memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Stood:
    """How many messages of a kind were stood.

    Attributes:
        sent: Messages.
        refused: Those that raised a `ProtocolError`.
        slowest_ms: CPU time of the slowest.
        growth_mb: Memory that was gained since a third of them had been sent.
        same: Whether a call beside sounded as it does alone.
    """

    sent: int
    refused: int
    slowest_ms: float
    growth_mb: float
    same: bool

    @property
    def well(self) -> bool:
        """Whether that is as it must be."""
        return self.same and self.growth_mb <= MAX_GROWTH_MB and self.slowest_ms <= MAX_MS


def fuzz(take: Callable[[], None], count: int) -> Stood:
    """Feed one taker."""
    refused, worst_s, before_mb = 0, 0.0, 0.0
    beside, alone, same = neighbour(), neighbour(), True
    for i in range(count):
        begun = time.thread_time()
        try:
            take()
        except ProtocolError:
            refused += 1
        worst_s = max(worst_s, time.thread_time() - begun)
        if i % 50 == 0:
            same &= next(beside) == next(alone)
        if i == int(count * _WARM_UP):
            before_mb = memory_mb()
    return Stood(count, refused, worst_s * 1000, memory_mb() - before_mb, same)


def takers(seed: int, count: int) -> Iterator[tuple[str, Callable[[], None], int]]:
    """Yield every kind's name, what takes one message, and how many are to be sent."""
    dice = random.Random(seed)
    kinds = [(codec, False) for codec in CODECS] + [("OPUS", True)]
    for codec, encrypted in kinds:
        name = f"RTP {codec}{' SRTP' if encrypted else ''}"
        yield name, rtp_taker(codec, dice, encrypted=encrypted), count // len(kinds)
    yield "RTCP", rtcp_taker(dice), count
    yield "SDP", sdp_taker(dice), count


def main() -> int:
    """Run it; return 0 when everything was withstood."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network.fuzz")
    parser.add_argument("--count", type=int, default=100_000, help="of each protocol")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    well = True
    for name, take, count in takers(options.seed, options.count):
        stood = fuzz(take, count)
        well &= stood.well
        print(
            f"{name:12}{count:8} sent {stood.refused:8} refused   "
            f"slowest {stood.slowest_ms:6.1f} ms   memory {stood.growth_mb:+5.1f} MB   "
            f"neighbour {'untouched' if stood.same else 'CHANGED'}"
        )
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
