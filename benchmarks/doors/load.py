"""Calls at once by one door; writes what their callers measured.

python -m benchmarks.doors.load --door sip --http 8765 --sip 5060 --calls 20 --lines F --out G
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import WebSocketException

from apps.core.audio import Samples
from apps.core.clock import loop_ms
from apps.voice.g711 import ulaw_decode
from apps.voice.resample import resample
from benchmarks.doors.ends import DOORS
from benchmarks.doors.webrtc_wire import use_loopback
from benchmarks.doors.wires import FRAME_MS, Ports, Wire
from benchmarks.pipecat.client import AUDIBLE, figures
from benchmarks.pipecat.lines import RATE_HZ
from benchmarks.pipecat.measure import GAP_MS, Heard
from benchmarks.pipecat.recipe import Line, load_lines
from benchmarks.pipecat.script import Script

RAMP_S = 8.0
STAGGER_S = 0.2
"""Calls begin so long apart, closer where all would not have begun within the ramp."""
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Voice:
    """What the callers of a door send: payloads of 20 ms, made once for all calls.

    Attributes:
        silence: Of silence.
        lines: Of each line, by its name.
    """

    silence: bytes
    lines: Mapping[str, Sequence[bytes]]

    @classmethod
    def of(cls, lines: Sequence[Line], wire: Wire) -> Voice:
        """Encode the lines as a wire wants them."""
        (silence,) = wire.encode(np.zeros(wire.rate_hz // 50, np.int16))
        samples = {line.name: ulaw_decode(bytes.fromhex(line.ulaw)) for line in lines}
        return cls(
            silence,
            {
                name: wire.encode(resample(said, RATE_HZ, wire.rate_hz))
                for name, said in samples.items()
            },
        )


class Caller(Script):
    """One call of the script by any door.

    Args:
        wire: The caller's end.
        lines: What the caller says.
        voice: How that sounds.
    """

    def __init__(self, wire: Wire, lines: Sequence[Line], voice: Voice) -> None:
        super().__init__(lines)
        self.wire, self._voice = wire, voice
        self.spoken_to = asyncio.Event()

    async def hold(self, ports: Ports) -> None:
        """Call, and hang up at the end of the script; a call that fails is not complete."""
        try:
            async with asyncio.timeout(LONGEST_S):
                await self.wire.open(ports, self)
                try:
                    await self._talk()
                finally:
                    await self.wire.close()
        except (OSError, TimeoutError, WebSocketException) as error:
            self.complete = False
            print(f"a call failed: {error!r}", file=sys.stderr, flush=True)

    async def _talk(self) -> None:
        """Send 20 ms every 20 ms on an absolute schedule, until everything has been said."""
        due = loop_ms()
        self.begin(due)
        left: deque[bytes] = deque()
        while True:
            now = loop_ms()
            if not left:
                self.end_line(now)
                if self.over and self.has_been_answered(now):
                    self.complete = True
                    return
                if self.may_speak(now):
                    left.extend(self._voice.lines[self.begin_line(now).name])
            self.sent_late_ms.append(now - due)
            await self.wire.send(left.popleft() if left else self._voice.silence)
            due += FRAME_MS
            await asyncio.sleep(max(0.0, due - loop_ms()) / 1000)

    def heard(self, at_ms: float, samples: Samples) -> None:
        """Take a piece of the assistant's audio."""
        if self.wire.streams:
            self.playout.free_ms = 0.0  # played as it comes: one late packet delays no later ones
        loudest = int(np.abs(samples.astype(np.int32)).max(initial=0))
        audible = loudest >= AUDIBLE
        self.hear(at_ms, len(samples) * 1000 / self.wire.rate_hz, audible)
        if audible:
            self.spoken_to.set()

    def cleared(self, at_ms: float) -> None:
        """Drop what was not played."""
        self.clear(at_ms)

    def answers(self) -> list[Heard]:
        """Return what was heard since the first line, for its lateness."""
        heard = super().answers()
        return spurts(heard) if self.wire.streams else heard


def spurts(heard: Sequence[Heard]) -> list[Heard]:
    """Return the audible part of a stream that sends silence as well, one schedule a spurt."""
    found: list[Heard] = []
    for message in heard:
        if message.audible:
            parted = not found or message.arrived_ms - found[-1].arrived_ms > GAP_MS
            number = (found[-1].answer if found else 0) + parted
            found.append(replace(message, answer=number))
    return found


async def measure(door: str, ports: Ports, lines: Sequence[Line], calls: int) -> dict[str, Any]:
    """Hold calls at once; they begin one after another, a little apart."""
    began = loop_ms()
    wires = [DOORS[door](number, None) for number in range(calls)]
    voice = Voice.of(lines, wires[0])
    held = [Caller(wire, lines, voice) for wire in wires]
    stagger_s = min(STAGGER_S, RAMP_S / calls)

    async def hold(number: int, caller: Caller) -> None:
        await asyncio.sleep(number * stagger_s)
        await caller.hold(ports)

    await asyncio.gather(*(hold(number, caller) for number, caller in enumerate(held)))
    return figures(held, began)


async def warm_up(door: str, ports: Ports) -> None:
    """Hold a call until the assistant speaks: what the server loads at its first call is there."""
    wire = DOORS[door](9999, None)
    caller = Caller(wire, (), Voice.of((), wire))
    holding = asyncio.create_task(caller.hold(ports))
    await asyncio.wait(
        (holding, asyncio.create_task(caller.spoken_to.wait())),
        return_when=asyncio.FIRST_COMPLETED,
    )
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--door", choices=sorted(DOORS), required=True)
    parser.add_argument("--http", type=int, required=True)
    parser.add_argument("--sip", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True, help="0: only warm the server up")
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    use_loopback()
    ports = Ports(asked.http, asked.sip)
    if not asked.calls:
        asyncio.run(warm_up(asked.door, ports))
        return
    lines = load_lines(asked.lines)
    result = asyncio.run(measure(asked.door, ports, lines, asked.calls))
    asked.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
