"""Calls at once, over the WebSocket door, with real engines and real audio in real time.

Each caller speaks the demonstration's utterances and waits as a person does. Printed are, at the
caller's side: voice to voice per answer with every stage's share, and how late frames were against
their schedule, both the assistant's that came in and the caller's own that went out.

    python -m benchmarks.calls --calls 5 --rounds 2
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apps.cli.caller import Caller, Line
from apps.cli.own_server import own_server
from apps.core.resources import resource
from apps.settings import read_settings
from apps.voice.audiofile import read_audio

VOICES = ("slt", "rms")
STAGGER_S = 1.3
STAGES = ("endpoint", "stt", "retrieve", "generate", "speak", "playout")


@dataclass(slots=True)
class Held:
    """What one call measured.

    Attributes:
        latencies: A voice-to-voice measurement an answer, with its stages.
        arrival_ms: Lateness of each of the assistant's frames.
        sending_ms: Lateness of each of the caller's own frames.
        ended: Why the call ended; None when it did not.
        rating: The rating that was understood.
    """

    latencies: list[dict[str, Any]] = field(default_factory=list)
    arrival_ms: list[float] = field(default_factory=list)
    sending_ms: list[float] = field(default_factory=list)
    ended: str | None = None
    rating: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the call was held from greeting to rating."""
        return self.ended == "completed" and self.rating is not None and len(self.latencies) >= 2


async def hold(address: str, voice: str, after_s: float) -> Held:
    """Hold one call: two questions, a goodbye, a spoken rating."""
    await asyncio.sleep(after_s)
    held = Held()

    def on_event(event: Mapping[str, Any]) -> None:
        if event["type"] == "turn.latency":
            held.latencies.append(dict(event))
        elif event["type"] == "call.ended":
            held.ended = event["reason"]
        elif event["type"] == "rating":
            held.rating = event["stars"]

    audio = {
        name: read_audio(resource("demo", voice, f"{name}.flac"))
        for name in ("question", "follow-up", "goodbye", "rating")
    }
    lines = [Line(audio["question"]), Line(audio["follow-up"]), Line(audio["goodbye"])]
    caller = Caller(address, lines, audio["rating"], {"language": "en"}, on_event)
    async with asyncio.timeout(240):
        await caller.call()
    held.arrival_ms, held.sending_ms = caller.lateness_ms, caller.sending_ms
    return held


async def measure(calls: int, rounds: int) -> list[Held]:
    """Hold calls at once, round after round, on a server of their own."""
    data = Path(os.environ.get("TOM_DATA_DIR", "data")) / "bench"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "TOM_DATA_DIR": str(data),
            "TOM_CACHE_DIR": str(read_settings().cache_folder),
            "TOM_ORIGIN": "test",
            "TOM_MAX_CALLS": str(calls),
            "TOM_STT_ENGINE": "pocketsphinx",
            "TOM_TTS_ENGINE": "espeak",
            "TOM_LLM_ENGINE": "embedded",
            "RL_FEEDBACK_DB_PATH": f"{folder}/feedback.db",
            "RL_BANDIT_STATE_PATH": f"{folder}/bandit_state.json",
            "RL_CANDIDATES_PATH": f"{folder}/candidates",
            "RL_SEED": "1",
        }
        held: list[Held] = []
        async with own_server(environment, data / "server.log") as address:
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}: {calls} at once ...", flush=True)
                held += await asyncio.gather(
                    *(hold(address, VOICES[i % 2], i * STAGGER_S) for i in range(calls))
                )
        return held


def percentiles(values: Sequence[float]) -> str:
    """Return the median, p95, p99 and maximum, as text."""
    if not values:
        return "none measured"
    p50, p95, p99, top = np.percentile(values, [50, 95, 99, 100])
    return f"p50 {p50:7.1f}   p95 {p95:7.1f}   p99 {p99:7.1f}   max {top:7.1f}"


def report(held: Sequence[Held]) -> None:
    """Print what was measured."""
    totals = [latency["ms"] for call in held for latency in call.latencies]
    print(f"\n{len(held)} calls, {sum(call.complete for call in held)} complete")
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"\nvoice to voice, ms ({len(totals)} answers)   {percentiles(totals)}")
    for stage in STAGES:
        shares = [x["stages"].get(stage, 0.0) for call in held for x in call.latencies]
        print(f"  {stage:<10} {percentiles(shares)}")
    print("\nlateness of frames against their schedule, ms, p99 of each call")
    for number, call in enumerate(held, start=1):
        arrival, sending = (
            float(np.percentile(values, 99)) if values else float("nan")
            for values in (call.arrival_ms, call.sending_ms)
        )
        state = "complete" if call.complete else f"NOT complete ({call.ended})"
        print(f"  call {number}: received {arrival:6.1f}   sent {sending:6.1f}   {state}")


def main() -> None:
    """Measure and report; exits with 1 when a call was not held to its end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1, help="calls at once")
    parser.add_argument("--rounds", type=int, default=3, help="how often")
    parser.add_argument("--json", type=Path, help="write every measurement here, too")
    arguments = parser.parse_args()
    began = time.monotonic()
    held = asyncio.run(measure(arguments.calls, arguments.rounds))
    report(held)
    print(f"\n{time.monotonic() - began:.0f} s")
    if arguments.json:
        rows = [{"latencies": h.latencies, "arrival_ms": h.arrival_ms} for h in held]
        arguments.json.write_text(json.dumps(rows), encoding="utf-8")
    if not all(call.complete for call in held):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
