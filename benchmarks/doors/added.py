"""How late audio is that goes into a door and comes out of it again, the server echoing it at once.

Callers send short tones from moments that are known to the sample, and look for them in what comes
back: from a tone's leaving until it has arrived, both ways, with everything that waits in the door;
the caller's own packets of 20 ms and its playout are not counted.

    python -m benchmarks.doors.added --doors sip --http 8765 --sip 5060 --out F
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apps.core.audio import Samples
from apps.core.clock import loop_ms
from benchmarks.doors.ends import DOORS
from benchmarks.doors.webrtc_wire import use_loopback
from benchmarks.doors.wires import FRAME_MS, Ports, Wire
from benchmarks.network.sip_proxy import SipProxy
from benchmarks.network.trouble import BAD, GOOD, Network
from benchmarks.network.udp_proxy import Address, UdpProxy
from benchmarks.pipecat.measure import percentile

OVER_UDP = ("sip", "webrtc")
TONE_MS, TONE_HZ, AMPLITUDE = 60, 1000.0, 12_000
ONSET = 3000
"""A tone has begun with the first sample of this size."""
QUIET_MS = 150.0
"""So long without one parts two tones."""
FOUND_WITHIN_MS = 550.0
APART_FRAMES = (30, 40)
SETTLE_S = 1.5
BACK_WITHIN_S = 3.0


def tone(offset: int, rate_hz: int) -> Samples:
    """Return some silence and a tone.

    Args:
        offset: Samples of silence.
        rate_hz: The rate.
    """
    moments = np.arange(TONE_MS * rate_hz // 1000) / rate_hz
    sound = AMPLITUDE * np.cos(2 * np.pi * TONE_HZ * moments)
    return np.concatenate((np.zeros(offset), sound)).astype(np.int16)


@dataclass(slots=True)
class Ear:
    """Finds the beginnings of tones in what comes back, each packet played as it comes.

    Args:
        rate_hz: Of the audio.
    """

    rate_hz: int
    onsets_ms: list[float] = field(default_factory=list)
    _loud_until_ms: float = float("-inf")

    def heard(self, at_ms: float, samples: Samples) -> None:
        """Take a piece of audio."""
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= ONSET)
        if not len(loud):
            return
        begin_ms = at_ms + float(loud[0]) * 1000 / self.rate_hz
        if begin_ms - self._loud_until_ms > QUIET_MS:
            self.onsets_ms.append(begin_ms)
        self._loud_until_ms = at_ms + float(loud[-1]) * 1000 / self.rate_hz

    def cleared(self, at_ms: float) -> None:
        """Nothing waits here."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A tone's way there and back; None where it was not found."""

    sent_ms: float
    took_ms: float | None


def trips(sent_ms: Sequence[float], onsets_ms: Sequence[float]) -> list[Trip]:
    """Match what was sent with what came back; each beginning is of the last tone before it."""
    found = []
    for sent in sent_ms:
        took = [onset - sent for onset in onsets_ms if 0 <= onset - sent < FOUND_WITHIN_MS]
        found.append(Trip(sent, min(took, default=None)))
    return found


def summary(found: Sequence[Trip], from_ms: float, until_ms: float) -> dict[str, Any]:
    """Return how long the tones took that were sent within a time."""
    inside = [trip for trip in found if from_ms <= trip.sent_ms < until_ms]
    took = [trip.took_ms for trip in inside if trip.took_ms is not None]
    return {
        "tones": len(inside),
        "lost": len(inside) - len(took),
        "p50_ms": percentile(took, 50),
        "p95_ms": percentile(took, 95),
    }


class Caller:
    """One call that sends tones.

    Args:
        wire: The caller's end.
        number: Of the call; seeds its tones.
        phase: By how much of 20 ms its packets leave after the first call's.
    """

    def __init__(self, wire: Wire, number: int, phase: float) -> None:
        self.wire, self._number, self._phase = wire, number, phase
        self.ear = Ear(wire.rate_hz)
        self.sent_ms: list[float] = []
        self.sent_late_ms: list[float] = []

    async def talk(self) -> None:
        """Send 20 ms every 20 ms, silence or tones, until cancelled."""
        wire, dice = self.wire, random.Random(self._number)
        per_ms = wire.rate_hz / 1000
        (silence,) = wire.encode(np.zeros(round(FRAME_MS * per_ms), np.int16))
        due = loop_ms() + self._phase * FRAME_MS
        waiting, left = dice.randint(*APART_FRAMES), list[bytes]()
        while True:
            await asyncio.sleep(max(0.0, due - loop_ms()) / 1000)
            now = loop_ms()
            self.sent_late_ms.append(now - due)
            if not left and waiting == 0:
                offset = dice.randrange(round(FRAME_MS * per_ms))
                left = wire.encode(tone(offset, wire.rate_hz))
                self.sent_ms.append(now + offset / per_ms)
                waiting = dice.randint(*APART_FRAMES)
            waiting -= not left
            await wire.send(left.pop(0) if left else silence)
            due += FRAME_MS

    def trips(self) -> list[Trip]:
        """Return what came back."""
        return trips(self.sent_ms, self.ear.onsets_ms)


@dataclass(slots=True)
class Way:
    """The network between the callers and the server."""

    ports: Ports
    make_proxy: Callable[[Address], UdpProxy] | None = None
    change: Callable[[Network], None] = lambda network: None


async def network_of(door: str, ports: Ports, stack: AsyncExitStack) -> Way:
    """Return the way to a door, over proxies where it is over UDP."""
    if door == "sip":
        proxy = SipProxy(("127.0.0.1", ports.sip), seed=1, audio_network=GOOD)
        await stack.enter_async_context(proxy)
        return Way(Ports(ports.http, proxy.address[1]), None, proxy.trouble)
    if door != "webrtc":
        return Way(ports)
    proxies: list[UdpProxy] = []

    def make_proxy(server: Address) -> UdpProxy:
        proxies.append(UdpProxy(server, seed=len(proxies) + 1, network=GOOD))
        return proxies[-1]

    def change(network: Network) -> None:
        for proxy in proxies:
            proxy.network = network

    return Way(ports, make_proxy, change)


async def measure(
    door: str, ports: Ports, *, calls: int, good_s: float, bad_s: float, after_s: float
) -> dict[str, Any]:
    """Send tones through a door, over a good network, and where it is UDP, a bad one after it."""
    async with AsyncExitStack() as stack:
        path = await network_of(door, ports, stack)
        callers = [Caller(DOORS[door](n, path.make_proxy), n, n / calls) for n in range(calls)]
        for caller in callers:
            await caller.wire.open(path.ports, caller.ear)
        talking = [asyncio.create_task(caller.talk()) for caller in callers]
        await asyncio.sleep(SETTLE_S)
        marks = {"good": loop_ms()}
        await asyncio.sleep(good_s)
        marks["bad"] = marks["after"] = loop_ms()
        if door in OVER_UDP and bad_s:
            path.change(BAD)
            await asyncio.sleep(bad_s)
            path.change(GOOD)
            marks["after"] = loop_ms()
            await asyncio.sleep(BACK_WITHIN_S + after_s)
        marks["end"] = loop_ms()
        await asyncio.sleep(FOUND_WITHIN_MS / 1000)
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        for caller in callers:
            await caller.wire.close()
    return figures(callers, marks)


def figures(callers: Sequence[Caller], marks: dict[str, float]) -> dict[str, Any]:
    """Return each stretch's delays, all calls together."""
    found = [trip for caller in callers for trip in caller.trips()]
    back_ms = marks["after"] + BACK_WITHIN_S * 1000
    late = [ms for caller in callers for ms in caller.sent_late_ms]
    told: dict[str, Any] = {
        "calls": len(callers),
        "good": summary(found, marks["good"], marks["bad"]),
        "client_late_p99_ms": percentile(late, 99),
    }
    if marks["after"] > marks["bad"]:
        told["bad"] = summary(found, marks["bad"], marks["after"])
        told["just_after"] = summary(found, marks["after"], back_ms)
        told["after"] = summary(found, back_ms, marks["end"])
    return told


async def measure_all(ports: Ports, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure doors, one after another or at once."""
    one_by_one = asyncio.Semaphore(len(asked.doors) if asked.at_once else 1)

    async def measure_one(door: str) -> dict[str, Any]:
        async with one_by_one:
            return await measure(
                door,
                ports,
                calls=asked.calls,
                good_s=asked.good_s,
                bad_s=asked.bad_s,
                after_s=asked.after_s,
            )

    told = await asyncio.gather(*map(measure_one, asked.doors))
    return dict(zip(asked.doors, told, strict=True))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--doors", nargs="+", choices=sorted(DOORS), required=True)
    parser.add_argument("--http", type=int, required=True)
    parser.add_argument("--sip", type=int, required=True)
    parser.add_argument("--calls", type=int, default=8, help="at once, of a door")
    parser.add_argument("--good-s", type=float, default=8.0)
    parser.add_argument("--bad-s", type=float, default=10.0)
    parser.add_argument("--after-s", type=float, default=4.0)
    parser.add_argument("--at-once", action="store_true", help="all doors at the same time")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    use_loopback()
    found = asyncio.run(measure_all(Ports(asked.http, asked.sip), asked))
    asked.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
