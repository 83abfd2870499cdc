"""Throws damaged SIP messages at an endpoint that holds a call, and looks at what is left of both.

    python -m tests.doors.sip.fuzz [MESSAGES] [SEED]: prints figures, and
ends with 1 where the call or the memory did not stay as they were.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import structlog

from apps.voice.doors.base import Door
from apps.voice.doors.sip import media
from apps.voice.doors.sip.addresses import Peer
from apps.voice.doors.sip.endpoint import SipEndpoint
from apps.voice.doors.sip.message import read_message
from apps.voice.doors.sip.options import SipOptions

MARKS = b'\r\n \t;,:<>"\\@=?%/\0\xff[]'
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "NOTIFY", "REGISTER", "X")
SDP = (
    b"v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


class _NoRtp:
    """An RTP session without sockets: the signalling is what is tried."""

    local_port = 30_000
    unsent_ms = 0.0

    @classmethod
    async def open(cls, options: Any, on_event: Any) -> _NoRtp:
        return cls()

    def connect(self, negotiated: Any, signalled_from: str = "") -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Wire:
    """Counts what the endpoint sends, and keeps the last of it."""

    transport, closed = "udp", False
    peer: Peer = ("127.0.0.1", 5070)
    local: Peer = ("127.0.0.1", 5060)

    def __init__(self) -> None:
        self.sent = 0
        self.last = b""

    def send(self, data: bytes) -> None:
        """Take a message."""
        self.sent += 1
        self.last = data


def message(method: str, call: str, seq: int, tag: str = "", body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [
        f"{method} sip:kfz@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bK{call}{seq}{method}",
        'From: "Alice" <sip:alice@127.0.0.1>;tag=a',
        "To: <sip:kfz@127.0.0.1>" + (f";tag={tag}" if tag else ""),
        f"Call-ID: {call}",
        f"CSeq: {seq} {method}",
        "Contact: <sip:alice@127.0.0.1:5070>",
        "Supported: timer",
        "Session-Expires: 1800",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def damaged(rng: random.Random, whole: bytes) -> bytes:
    """Return a message with a few bytes changed, lost or added."""
    data = bytearray(whole)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.choice(MARKS)
            case 1 if len(data) > 40:
                del data[at : at + rng.randint(1, 20)]
            case 2:
                data[at:at] = bytes(rng.choices(MARKS, k=rng.randint(1, 6)))
            case _:
                data[at:at] = data[at : at + rng.randint(1, 40)]
    return bytes(data)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def throw(messages: int, seed: int) -> dict[str, Any]:
    """Throw messages at an endpoint; returns the figures."""
    rng = random.Random(seed)
    calls = 0

    async def take(door: Door) -> None:
        nonlocal calls
        calls += 1
        await door.tell("call.started", {})
        async for _ in door.events():
            pass

    media.RtpSession = _NoRtp  # type: ignore[assignment, attr-defined]
    endpoint = SipEndpoint(SipOptions(), take, lambda door: None)
    receive = endpoint.stack.exchange.receive
    good, bad = _Wire(), _Wire()
    receive(good, message("INVITE", "good", 1, body=SDP))
    await asyncio.sleep(0.05)
    tag = read_message(good.last).recipient.tag
    receive(good, message("ACK", "good", 1, tag))
    begun, slowest_s, middle = time.monotonic(), 0.0, 0
    for number in range(messages):
        method = rng.choice(METHODS)
        victim = rng.choice(("good", f"c{number % 500}"))
        whole = message(method, victim, rng.randint(1, 9), rng.choice(("", tag, "z")), SDP)
        if victim == "good":
            whole = whole.replace(b"tag=a", b"tag=b")  # whoever knows all tags is the caller
        at = time.process_time()
        receive(bad, damaged(rng, whole))
        slowest_s = max(slowest_s, time.process_time() - at)
        if number % 50 == 0:
            await asyncio.sleep(0)
        if number == messages // 2:
            gc.collect()
            middle = _resident_bytes()
    seconds = time.monotonic() - begun
    gc.collect()
    end = _resident_bytes()
    receive(good, message("OPTIONS", "good", 50, tag))
    still = read_message(good.last).status == 200  # type: ignore[union-attr]
    transactions = len(endpoint.stack.exchange)
    await endpoint.close()
    return {
        "messages": messages,
        "seed": seed,
        "per_s": round(messages / seconds),
        "answered": bad.sent,
        "calls_begun": calls,
        "slowest_ms": round(slowest_s * 1000, 1),
        "grown_mb": round((end - middle) / 1e6, 2),
        "transactions": transactions,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "call_untouched": still,
    }


def main() -> int:
    """Run it."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 4475
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    figures = asyncio.run(throw(messages, seed))
    sys.stdout.write(json.dumps(figures) + "\n")
    level = figures["grown_mb"] < 20
    return 0 if figures["call_untouched"] and level else 1


if __name__ == "__main__":
    sys.exit(main())
