"""100,000 damaged messages of every protocol: `make fuzz-doors`.

    python -m tests.doors.fuzz [--messages 100000] [--seed 7] [--only realtime]

WebSockets, AudioSocket and WHIP's offers go to a real server while a call goes on there; SIP, RTP
and what data channels and offers hold go to the code that reads them, beside a call of its own.
Nothing may break, hang or grow, and the call beside must not notice. One line each, with figures.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import starmap

import httpx

from apps.voice.doors.rtvi.messages import read_message
from apps.voice.doors.rtvi.sdp import without_video
from apps.voice.doors.webrtc.offers import read_fragment, read_offer
from benchmarks.network.fuzz import damaged, fuzz, takers
from tests.doors.carriers.fuzz import (
    Fuzz,
    any_message,
    carriers,
    fuzz_socket,
    fuzzed_server,
    run,
)
from tests.doors.parts import ROOT, Fuzzed, tell
from tests.e2e.servers import Running
from tests.webrtc_caller import Caller

NATIVE = [
    {"type": "start", "language": "en", "audio": {"encoding": "mulaw", "rate": 8000}},
    {"type": "text", "text": "what does it cost"},
    {"type": "dtmf", "digit": "1"},
    {"type": "rating", "stars": 5},
    {"type": "ping"},
    {"type": "hangup"},
]
_TURN = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
REALTIME = [
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {}}}},
    {"type": "input_audio_buffer.append", "audio": "AAAA" * 80},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "item": _TURN},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 5},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "response.create", "response": {"metadata": {"a": "b"}}},
    {"type": "response.cancel"},
    {"type": "output_audio_buffer.clear"},
]
RTVI = [
    {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "2.1.0"}},
    {"label": "rtvi-ai", "type": "send-text", "id": "2", "data": {"content": "hello"}},
    {"label": "rtvi-ai", "type": "dtmf", "id": "3", "data": {"buttons": ["1"]}},
    {"label": "rtvi-ai", "type": "client-message", "id": "4", "data": {"t": "rating", "d": {}}},
    {"label": "rtvi-ai", "type": "disconnect-bot", "id": "5"},
]
POSTED = 50
"""One of so many offers goes to the server, which sets up a connection where it can answer."""


def rtvi_taker(dice: random.Random) -> Callable[[], None]:
    """Return what reads one damaged message of an RTVI client."""

    def take() -> None:
        message = any_message(RTVI, dice)
        read_message(message if isinstance(message, str) else message.decode("latin-1"))

    return take


def offer_taker(dice: random.Random, offer: str) -> Callable[[], None]:
    """Return what reads one damaged offer, and its like as trickled candidates."""
    whole = offer.encode()

    def take() -> None:
        text = damaged(whole, dice).decode("latin-1")
        without_video(text)
        if dice.random() < 0.5:
            read_offer(text)
        else:
            read_fragment(text, "0", "user")

    return take


async def post_offers(url: str, offer: str, messages: int, dice: random.Random) -> None:
    """Send damaged offers by HTTP, and hang up what was answered."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        for _ in range(messages // POSTED):
            data = damaged(offer.encode(), dice)
            headers = {"Content-Type": "application/sdp"}
            answer = await client.post("/whip", content=data, headers=headers)
            if answer.status_code == 201:
                await client.delete(answer.headers["location"])
            elif answer.status_code not in (400, 409, 413, 415, 429, 503):
                raise AssertionError(f"an offer was answered by {answer.status_code}")


async def an_offer() -> str:
    """Return a browser's kind of offer."""
    caller = Caller()
    try:
        return await caller.offer()
    finally:
        await caller.close()


def on_sockets(server: Running, port: int, offer: str) -> dict[str, Fuzz]:
    """Return what fuzzes the doors of a server."""
    base = server.url.replace("http", "ws")
    return {
        "websocket": partial(fuzz_socket, f"{base}/v1/call", NATIVE),
        "realtime": partial(fuzz_socket, f"{base}/v1/realtime", REALTIME),
        **carriers(server, port),
        f"WHIP, 1 of {POSTED}": partial(post_offers, server.url, offer),
    }


def read_alone(name: str, take: Callable[[], None], count: int) -> Fuzzed:
    """Feed what reads messages; returns how it stood them."""
    began = time.monotonic()
    stood = fuzz(take, count)
    beside = f"{'untouched' if stood.same else 'CHANGED'}; slowest {stood.slowest_ms:.1f} ms"
    wrong = "" if stood.well else "grew, took long, or disturbed the call beside"
    result = Fuzzed(name, count, time.monotonic() - began, stood.growth_mb, beside, wrong)
    result.tell()
    return result


def sip(messages: int, seed: int) -> Fuzzed:
    """Throw damaged SIP at an endpoint in a process of its own."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.doors.sip.fuzz", str(messages), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    beside = "untouched" if figures.get("call_untouched") else "NOT THERE ANY MORE"
    wrong = "" if done.returncode == 0 else (done.stderr.strip()[-200:] or "see its figures")
    told = f"{beside}; slowest {figures.get('slowest_ms', 0)} ms"
    took_s, grown_mb = time.monotonic() - began, float(figures.get("grown_mb", 0))
    result = Fuzzed("SIP", messages, took_s, grown_mb, told, wrong)
    result.tell()
    return result


def main() -> int:
    """Run it; returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.doors.fuzz")
    parser.add_argument("--messages", type=int, default=100_000, help="of each protocol")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="part of a protocol's name")
    given = parser.parse_args()
    only, dice = given.only.lower(), random.Random(given.seed)
    offer = asyncio.run(an_offer())
    alone = [
        *takers(given.seed, given.messages),
        ("RTVI", rtvi_taker(dice), given.messages),
        ("WHIP offers", offer_taker(dice, offer), given.messages),
    ]
    gc.collect()
    gc.freeze()  # looking through all that is loaded is no message's time
    stood = list(starmap(read_alone, (one for one in alone if only in one[0].lower())))
    if only in "sip":
        stood.append(sip(given.messages, given.seed))
    with fuzzed_server() as (server, port):
        doors = {n: f for n, f in on_sockets(server, port, offer).items() if only in n.lower()}
        stood += asyncio.run(run(server, doors, given.messages, given.seed))
        complaints = sorted(set(server.complaints()))
    for complaint in complaints:
        tell(f"the server's log complains: {complaint}")
    failed = sum(bool(one.wrong) for one in stood) + len(complaints)
    tell(f"{len(stood)} protocols, {failed} things wrong")
    return 1 if failed or not stood else 0


if __name__ == "__main__":
    sys.exit(main())
