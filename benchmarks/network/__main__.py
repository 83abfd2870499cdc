"""What a call's RTP costs and how late it is: ``python -m benchmarks.network``; docs/doors/rtp.md.

CPU and delay at rest are measured on loopback sockets in this one process, and what the bad network
does in simulated time. `benchmarks.network.words` counts the words that it costs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import fmean, median

import numpy as np
import structlog

from apps.core.audio import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, level_dbfs
from apps.voice.doors.base import CallerAudio, DoorEvent
from apps.voice.rtp.negotiation import (
    CODECS,
    Abilities,
    Local,
    accept,
    negotiate,
    write_answer,
    write_offer,
)
from apps.voice.rtp.sdp import read_sdp
from apps.voice.rtp.session import RtpOptions, RtpSession
from benchmarks.network.rtp_path import carry

HOST = "127.0.0.1"
PORTS = (30_000, 34_999)
_LOUD_DBFS = -40.0


class End:
    """One end of a call; notes when a loud sound came."""

    def __init__(self) -> None:
        self.session: RtpSession
        self.loud_s: float | None = None
        self.listening = False

    def tell(self, event: DoorEvent) -> None:
        """Take what the session tells."""
        if not self.listening or self.loud_s is not None or not isinstance(event, CallerAudio):
            return
        if level_dbfs(event.pcm) > _LOUD_DBFS:
            self.loud_s = time.perf_counter()


@asynccontextmanager
async def call(codec: str, srtp: str) -> AsyncIterator[tuple[End, End]]:
    """Connect two ends on loopback."""
    here, there = End(), End()
    abilities = Abilities((codec,), srtp)
    for end in (here, there):
        end.session = await RtpSession.open(RtpOptions(HOST, PORTS), end.tell)
    ours = Local(HOST, here.session.local_port, bytes([1] * 30))
    theirs = Local(HOST, there.session.local_port, bytes([2] * 30))
    offer = read_sdp(write_offer(ours, abilities))
    answered = negotiate(offer, abilities, theirs.key)
    there.session.connect(answered)
    answer = read_sdp(write_answer(offer, answered, theirs))
    here.session.connect(accept(answer, ours, abilities))
    try:
        yield here, there
    finally:
        here.session.close()
        there.session.close()


def frames() -> list[bytes]:
    """Return a second of a voice-like sound."""
    at = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    wave = np.sum([np.sin(2 * np.pi * 140 * k * at) / k for k in range(1, 20)], axis=0)
    pcm = (wave * 4000).astype("<i2").tobytes()
    return [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm), FRAME_BYTES)]


async def cpu_us(codec: str, srtp: str, calls: int, seconds: float) -> float:
    """Return the CPU time of one end of a call per 20 ms, speech both ways."""
    speech = frames()
    loop = asyncio.get_running_loop()
    pairs = [call(codec, srtp) for _ in range(calls // 2)]
    ends = []
    for pair in pairs:
        ends += list(await pair.__aenter__())
        await asyncio.sleep(FRAME_MS / 1000 / len(pairs))
    before = sum(end.session.statistics.sent for end in ends)
    begun, cpu_s, sent = loop.time(), time.process_time(), 0
    while loop.time() - begun < seconds:
        for end in ends:
            end.session.play(speech[sent % len(speech)])
        sent += 1
        await asyncio.sleep(max(0.0, begun + sent * FRAME_MS / 1000 - loop.time()))
    used_s = time.process_time() - cpu_s
    packets = sum(end.session.statistics.sent for end in ends) - before
    for pair in pairs:
        await pair.__aexit__(None, None, None)
    return used_s / packets * 1e6


async def delay_ms(codec: str, trials: int) -> float:
    """Return the time from `play` to the other end's event at the median, at random moments."""
    dice = random.Random(1)
    delays: list[float] = []
    loud = (np.sin(np.arange(FRAME_SAMPLES)) * 12_000).astype("<i2").tobytes()
    async with call(codec, "off") as (here, there):
        await asyncio.sleep(0.2)
        for _ in range(trials):
            await asyncio.sleep(0.1 + dice.random() * 0.02)
            there.loud_s, there.listening = None, True
            begun = time.perf_counter()
            here.session.play(loud)
            await asyncio.sleep(0.08)
            there.listening = False
            if there.loud_s is not None:
                delays.append((there.loud_s - begun) * 1000)
    return median(delays)


def bad_network(codec: str, seeds: int) -> tuple[float, float, float]:
    """Return the delay that 10 s of the bad network add, what is left after 3 s, and late losses.

    Delays are in ms at the median and include the network's own; late losses are packets that came
    and were too late, as a share of those sent meanwhile.
    """
    speech = b"".join(frames()) * 20
    added, left, late = [], [], []
    for seed in range(seeds):
        arrival = carry(speech, codec, seed=seed)
        before = arrival.behind_ms(1000, 5000)
        added.append(arrival.behind_ms(6000, 15_000) - before)
        left.append(arrival.behind_ms(18_000, 18_500) - before)
        late.append((arrival.lost - arrival.dropped) / 500)
    return fmean(added), max(left), fmean(late)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network")
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=CODECS)
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    print(
        f"{'':8}{'CPU per 20 ms':>15}{'with SRTP':>11}{'of a core':>11}{'delay':>9}"
        f"{'bad network':>13}{'3 s after':>11}{'too late':>10}"
    )
    for codec in options.codecs:
        plain = asyncio.run(cpu_us(codec, "off", options.calls, options.seconds))
        secure = asyncio.run(cpu_us(codec, "required", options.calls, options.seconds))
        rest_ms = asyncio.run(delay_ms(codec, options.trials))
        added_ms, left_ms, late = bad_network(codec, options.seeds)
        print(
            f"{codec:8}{plain:12.0f} us{secure:8.0f} us{plain / FRAME_MS / 1000:11.2%}"
            f"{rest_ms:6.1f} ms{added_ms:+10.0f} ms{left_ms:+8.0f} ms{late:10.1%}"
        )


if __name__ == "__main__":
    main()
