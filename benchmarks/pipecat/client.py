"""Calls at once, as Twilio would carry them; writes what their callers measured.

python -m benchmarks.pipecat.client --port 8765 --calls 5 --cycles 2 --lines F --out G
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from apps.core.clock import loop_ms
from apps.voice.g711 import ulaw_decode
from benchmarks.pipecat.measure import (
    is_cut,
    lateness_ms,
    percentile,
    stop_ms,
    stretches,
    voice_to_voice_ms,
)
from benchmarks.pipecat.recipe import Line, load_lines
from benchmarks.pipecat.script import FRAME_MS, Script

FRAME_BYTES = 160
AUDIBLE = 104
"""A sample of this size is at -50 dBFS."""
STAGGER_S = 0.23
_LEVEL = np.abs(ulaw_decode(bytes(range(256))).astype(np.int32))


class Call(Script):
    """One call: the script, over Twilio's messages.

    Args:
        sid: The stream's name.
        lines: The script, cycles included.
    """

    def __init__(self, sid: str, lines: Sequence[Line]) -> None:
        super().__init__(lines)
        self.sid = sid
        self.marks: list[tuple[float, str]] = []

    async def hold(self, port: int) -> None:
        """Call, and hang up at the end of the script."""
        address = f"ws://127.0.0.1:{port}/twilio"
        with suppress(WebSocketException, OSError):
            async with connect(address, compression=None, ping_interval=None) as socket:
                await self._begin(socket)
                listening = asyncio.create_task(self._listen(socket))
                try:
                    await self._talk(socket)
                    await socket.send(json.dumps({"event": "stop", "streamSid": self.sid}))
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)

    async def _begin(self, socket: ClientConnection) -> None:
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        await socket.send(json.dumps(connected))
        body = {
            "streamSid": self.sid,
            "callSid": f"CA{self.sid}",
            "accountSid": "AC0",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"language": "en"},
        }
        start = {"event": "start", "sequenceNumber": "1", "start": body, "streamSid": self.sid}
        await socket.send(json.dumps(start))

    async def _talk(self, socket: ClientConnection) -> None:
        """Send 20 ms every 20 ms on an absolute schedule, until everything has been said."""
        head = f'{{"event":"media","streamSid":"{self.sid}","media":{{"track":"inbound","payload":"'
        silence = _encoded(b"\xff" * FRAME_BYTES)
        due = loop_ms()
        self.begin(due)
        frames: deque[str] = deque()
        while True:
            now = loop_ms()
            if not frames:
                self.end_line(now)
                if self.over and self.has_been_answered(now):
                    self.complete = True
                    return
                if self.may_speak(now):
                    frames.extend(_frames(self.begin_line(now)))
            self.sent_late_ms.append(now - due)
            await socket.send(f'{head}{frames.popleft() if frames else silence}"}}}}')
            await self._echo(socket, now)
            due += FRAME_MS
            await asyncio.sleep(max(0.0, due - loop_ms()) / 1000)

    async def _echo(self, socket: ClientConnection, now: float) -> None:
        """Confirm the marks whose audio has been played."""
        while self.marks and self.marks[0][0] <= now:
            _, name = self.marks.pop(0)
            mark = {"event": "mark", "streamSid": self.sid, "mark": {"name": name}}
            await socket.send(json.dumps(mark))

    async def _listen(self, socket: ClientConnection) -> None:
        async for raw in socket:
            now, message = loop_ms(), json.loads(raw)
            match message.get("event"):
                case "media":
                    self._play(now, base64.b64decode(message["media"]["payload"]))
                case "mark":
                    self.marks.append((self.playout.free_ms, message["mark"]["name"]))
                case "clear":
                    self.clear(now)
                    self.marks = [(now, name) for _, name in self.marks]

    def _play(self, now: float, audio: bytes) -> None:
        audible = bool(_LEVEL[np.frombuffer(audio, np.uint8)].max() >= AUDIBLE)
        self.hear(now, len(audio) / 8, audible)


def _encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode("ascii")


def _frames(line: Line) -> list[str]:
    audio = bytes.fromhex(line.ulaw)
    return [_encoded(audio[i : i + FRAME_BYTES]) for i in range(0, len(audio), FRAME_BYTES)]


def figures(calls: Sequence[Script], began_ms: float) -> dict[str, Any]:
    """Return what the callers measured, all calls together."""
    waits: list[float] = []
    stops: list[float] = []
    late: list[float] = []
    cuts = lines = 0
    for call in calls:
        voice = stretches(call.playout.heard)
        late += lateness_ms(call.answers())
        for number, said in enumerate(call.said, start=1):
            until = call.said[number].begin_ms if number < len(call.said) else float("inf")
            lines += 1
            cuts += is_cut(said, voice)
            if (wait := voice_to_voice_ms(said, voice, until)) is not None:
                waits.append(round(wait, 1))
            if (stop := stop_ms(said, voice)) is not None:
                stops.append(round(stop, 1))
    first = [call.said[0].begin_ms for call in calls if call.said]
    last = [call.said[-1].end_ms for call in calls if call.said]
    return {
        "calls": len(calls),
        "complete": sum(call.complete for call in calls),
        "lines": lines,
        "cuts": cuts,
        "voice_to_voice_ms": waits,
        "barge_in_stop_ms": stops,
        "lateness_ms": dict(sorted(Counter(round(ms) for ms in late).items())),
        "sent_late_p99_ms": percentile([x for call in calls for x in call.sent_late_ms], 99),
        "all_talk_from_s": (max(first) if first else began_ms) / 1000,
        "all_talk_until_s": (min(last) if last else began_ms) / 1000,
    }


async def measure(port: int, lines: Sequence[Line], calls: int, cycles: int) -> dict[str, Any]:
    """Hold calls at once; they begin one after another, a little apart."""
    began = loop_ms()
    held = [Call(f"MZ{number:032d}", [*lines] * cycles) for number in range(calls)]

    async def hold(number: int, call: Call) -> None:
        await asyncio.sleep(number * STAGGER_S)
        await call.hold(port)

    await asyncio.gather(*(hold(number, call) for number, call in enumerate(held)))
    return figures(held, began)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    result = asyncio.run(measure(asked.port, load_lines(asked.lines), asked.calls, asked.cycles))
    asked.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
