"""Two hundred calls through one server: what it holds afterwards that it did not hold before.

Real calls over the WebSocket door on loopback, a few at once, with the real voice activity
detector; recogniser and synthesiser are the fakes, so that a call takes seconds. Callers speak, are
answered, talk over the answer, and leave in several ways: politely, by hanging up, and by breaking
the connection off. Exits with 1 when memory, files, threads or processes grow beyond the bound.

    python -m benchmarks.memory --calls 200 --at-once 8
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from apps.cli.own_server import own_server
from apps.core.audio import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ, samples_to_pcm
from apps.core.resources import resource
from apps.settings import read_settings
from apps.voice.audiofile import read_audio
from benchmarks.memory.growth import Bound, Held, children_of, complaints, growth_kb, look

LEAVES = ("hangs up", "breaks off", "says goodbye")
QUESTION_S = 0.9
"""So much of the demonstration's question is spoken: the fake recogniser wants no more."""
QUIET_S = 1.0
"""Before a question half of it, afterwards all of it: the answer begins in it."""
GREETING = "AI, KI."
SETTLED_S = 0.5
"""What a call leaves behind is looked at so long after the last of a round has ended."""


def caller_audio() -> bytes:
    """Return what a caller says: two short questions, the second into the answer's beginning."""
    said = read_audio(resource("demo", "slt", "question.flac"))
    loud = np.flatnonzero(np.abs(said.astype(np.int32)) > 1000)[0]
    question = said[loud : loud + round(QUESTION_S * SAMPLE_RATE_HZ)]
    quiet = np.zeros(round(QUIET_S * SAMPLE_RATE_HZ), np.int16)
    again = question[: len(question) * 2 // 3]
    return samples_to_pcm(np.concatenate([quiet[: len(quiet) // 2], question, quiet, again]))


async def hold(address: str, audio: bytes, leave: str) -> dict[str, int]:
    """Hold one call; returns how many events of each kind came."""
    counted: dict[str, int] = {}
    async with connect(address, compression=None, max_size=2**20) as socket:
        await socket.send(json.dumps({"type": "start", "language": "en"}))
        listening = asyncio.create_task(_listen(socket, counted))
        try:
            await _talk(socket, audio)
            if leave == "breaks off":
                socket.transport.abort()
            elif leave == "hangs up":
                await socket.send(json.dumps({"type": "hangup"}))
            else:
                for said in ("goodbye", "four"):
                    await socket.send(json.dumps({"type": "text", "text": said}))
        except ConnectionClosed:
            counted["lost"] = 1
        await asyncio.wait([listening], timeout=20)
        listening.cancel()
    return counted


async def _talk(socket: ClientConnection, audio: bytes) -> None:
    """Say something in real time."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for at in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES):
        await socket.send(audio[at : at + FRAME_BYTES])
        due += FRAME_MS / 1000
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _listen(socket: ClientConnection, counted: dict[str, int]) -> None:
    try:
        async for message in socket:
            kind = "audio" if isinstance(message, bytes) else str(json.loads(message)["type"])
            counted[kind] = counted.get(kind, 0) + 1
    except ConnectionClosed:
        pass


@asynccontextmanager
async def quick_server(folder: Path, at_once: int) -> AsyncIterator[tuple[str, int]]:
    """Run a server whose greeting is short; yields where it is called, and its process."""
    sample = resource("profiles", "kfz.yaml").read_text(encoding="utf-8")
    profiles = folder / "office" / "profiles"
    profiles.mkdir(parents=True)
    short = re.sub(
        r'^(    (?:formal|friendly|brief)): ".*"', rf'\1: "{GREETING}"', sample, flags=re.M
    )
    (profiles / "kfz.yaml").write_text(short, encoding="utf-8")
    (folder / "office" / "knowledge").symlink_to(resource("knowledge"))
    environment = {
        "TOM_DATA_DIR": str(folder),
        "TOM_CACHE_DIR": str(read_settings().cache_folder),
        "TOM_PROFILE_DIR": str(folder / "office"),
        "TOM_ORIGIN": "test",
        "TOM_MAX_CALLS": str(2 * at_once),
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_LLM_ENGINE": "embedded",
        "RL_FEEDBACK_DB_PATH": f"{folder}/feedback.db",
        "RL_BANDIT_STATE_PATH": f"{folder}/bandit_state.json",
        "RL_CANDIDATES_PATH": f"{folder}/candidates",
        "RL_SEED": "1",
    }
    before = set(children_of(os.getpid()))
    async with own_server(environment, folder / "server.log") as address:
        (pid,) = set(children_of(os.getpid())) - before
        yield address.replace("http://", "ws://") + "/v1/call", pid


async def measure(calls: int, at_once: int, every: int) -> list[Held]:
    """Hold calls, `at_once` of them at any moment; looks at the server after each `every`."""
    audio = caller_audio()
    seen: list[Held] = []
    with tempfile.TemporaryDirectory(prefix="tom-memory-") as name:
        async with quick_server(Path(name), at_once) as (address, pid):
            seen.append(look(pid, 0))
            while seen[-1].calls < calls:
                await _round(address, audio, every, at_once)
                await asyncio.sleep(SETTLED_S)
                seen.append(look(pid, seen[-1].calls + every))
                _tell(seen[-1])
    return seen


async def _round(address: str, audio: bytes, calls: int, at_once: int) -> None:
    lines = asyncio.Semaphore(at_once)

    async def one(number: int) -> dict[str, int]:
        async with lines:
            return await hold(address, audio, LEAVES[number % len(LEAVES)])

    held = await asyncio.gather(*(one(number) for number in range(calls)))
    if not all(counted.get("audio") for counted in held):
        raise SystemExit("A call was not served.")
    if sum("turn.latency" in counted for counted in held) < calls / 2:
        raise SystemExit("Hardly a call was answered: this measures no conversation.")


def _tell(held: Held) -> None:
    print(
        f"{held.calls:6} {held.resident_kb / 1024:9.1f} {held.files:6} {held.threads:8}"
        f" {held.children:9}",
        flush=True,
    )


def report(seen: list[Held], warm_up: int, bound: Bound) -> list[str]:
    """Print the growth after the warm-up; returns what is beyond the bound."""
    warm = [held for held in seen if held.calls >= warm_up]
    print(
        f"\nafter the warm-up of {warm[0].calls} calls: {growth_kb(warm):+.1f} KiB a call"
        f" (allowed {bound.kb_per_call:g}), {warm[-1].files - warm[0].files:+} files,"
        f" {warm[-1].threads - warm[0].threads:+} threads,"
        f" {warm[-1].children - warm[0].children:+} children (allowed {bound.others} each)"
    )
    return complaints(warm, bound)


def main() -> None:
    """Measure and report; exits with 1 when something grows beyond the bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=200, help="how many in all")
    parser.add_argument("--at-once", type=int, default=8, help="how many at any moment")
    parser.add_argument("--every", type=int, default=20, help="calls between two looks")
    parser.add_argument("--warm-up", type=int, default=60, help="calls that are not counted")
    parser.add_argument("--kb-per-call", type=float, default=Bound().kb_per_call)
    arguments = parser.parse_args()
    began = time.monotonic()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(" calls  resident  files  threads  children   (resident in MiB)")
    seen = asyncio.run(measure(arguments.calls, arguments.at_once, arguments.every))
    found = report(seen, arguments.warm_up, Bound(arguments.kb_per_call))
    print(f"{time.monotonic() - began:.0f} s")
    for complaint in found:
        print(f"grown: {complaint}")
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
