"""Calls by baresip, a telephone of Debian's: spoken with every codec, held, with keys, troubled.

    python -m tests.doors.sip.baresip_calls [--only opus]

The server listens and speaks with its own engines. What it understood, which knowledge it answered
from, and how loud it is in what baresip recorded decide.
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.core.resources import resource
from apps.store.call_tables import call_events
from apps.store.calls import list_calls
from apps.voice.audiofile import read_audio
from apps.voice.resample import resample
from benchmarks.network.sip_proxy import SipProxy
from benchmarks.network.trouble import BAD
from benchmarks.ports import free_port
from tests.doors.parts import check, run_parts, tell
from tests.e2e.servers import Running, wait_until
from tests.e2e.telephone import port_of

HERE = Path(__file__).parent
GREETING_S = 8.0
WHOLE_S = 24.0
SOUND_RMS = 300


@dataclass(frozen=True)
class Codec:
    """A codec as baresip wants it set."""

    module: str
    name: str
    rate_hz: int = 8000
    channels: int = 1


CODECS = {
    "PCMU": Codec("g711", "PCMU"),
    "PCMA": Codec("g711", "PCMA"),
    "G722": Codec("g722", "G722/16000/1", 16_000),
    "Opus": Codec("opus", "opus/48000/2", 48_000, 2),
}


def write_wav(path: Path, codec: Codec, *, spoken: bool) -> None:
    """Write what baresip says: nothing during the greeting, a question, and nothing again."""
    question = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, codec.rate_hz)
    said = np.zeros(int(WHOLE_S * codec.rate_hz), np.int16)
    begin = int(GREETING_S * codec.rate_hz)
    if spoken:
        said[begin : begin + len(question)] = question
    with wave.open(str(path), "wb") as out:
        out.setnchannels(codec.channels)
        out.setsampwidth(2)
        out.setframerate(codec.rate_hz)
        out.writeframes(said.repeat(codec.channels).tobytes())


class Baresip:
    """One running telephone."""

    def __init__(self, folder: Path, control: int) -> None:
        self.folder, self.control = folder, control

    async def command(self, command: str, parameters: str = "") -> None:
        """Have it do something, by the netstrings of its `ctrl_tcp` module."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control)
        told = json.dumps({"command": command, "params": parameters}).encode()
        writer.write(b"%d:%s," % (len(told), told))
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"}")
        writer.close()
        check(b'"ok":true' in answer.replace(b" ", b""), f"baresip: {answer!r}")

    def heard(self) -> np.ndarray:
        """Return what it recorded of the other side, all channels in one."""
        (recording,) = self.folder.glob("dump-*-dec.wav")
        # Cut off in the midst, its header does not say how long it is.
        return np.frombuffer(recording.read_bytes()[44:][: 2 * 48_000 * 2 * 60] + b"", "<i2")


@asynccontextmanager
async def telephone(
    folder: Path, port: int, codec: Codec, *, spoken: bool = True
) -> AsyncIterator[Baresip]:
    """Dial the server; the call is over when the block is left."""
    folder.mkdir()
    control = free_port()
    write_wav(folder / "say.wav", codec, spoken=spoken)
    filled = {
        "BARESIP_WAV": str(folder / "say.wav"),
        "BARESIP_OUT": str(folder),
        "BARESIP_CODECS": codec.name,
        "BARESIP_CODEC": codec.module,
        "BARESIP_CONTROL": str(control),
        "srate\t\t8000": f"srate\t\t{codec.rate_hz}",
        "channels\t\t1": f"channels\t\t{codec.channels}",
    }
    for name in ("config", "accounts"):
        text = (HERE / "baresip" / name).read_text()
        for placeholder, value in filled.items():
            text = text.replace(placeholder, value)
        (folder / name).write_text(text)
    dial = f"/dial sip:kfz@127.0.0.1:{port};lang=en"
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(folder), "-e", dial, "-t", "60", stdout=log, stderr=log
        )
        try:
            yield Baresip(folder, control)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def log_of_latest(server: Running) -> list[Any]:
    """Return the event log of the call that began last, once it has ended."""
    wait_until(lambda: server.ready()["live_calls"] == 0, 45)
    with server.database().reading() as conn:
        latest = list_calls(conn)[0].call_ref
        mine = call_events.select().where(call_events.c.call_ref == latest)
        return list(conn.execute(mine.order_by(call_events.c.seq)).all())


def sources_of(log: list[Any]) -> set[str]:
    """Return the knowledge entries that were answered from."""
    return {s for event in log if event.kind == "assistant" for s in event.data["sources"]}


def understood(log: list[Any]) -> str:
    """Return what was understood of the caller, in one."""
    words = [str(event.data.get("text", "")) for event in log if event.kind == "fsm.transcript"]
    return " ".join(words).lower()


async def a_spoken_call(server: Running, port: int, folder: Path, codec: Codec) -> None:
    """Say a question, and hear it answered from the right entry."""
    async with telephone(folder, port, codec) as phone:
        await asyncio.sleep(WHOLE_S - 3)
    log = await asyncio.to_thread(log_of_latest, server)
    level = float(np.sqrt(np.mean(phone.heard().astype(float) ** 2)))
    tell(f"    understood {understood(log)!r}, answered from {sorted(sources_of(log))}")
    check("register" in understood(log), "the question was not understood")
    check(any("reg-used" in s for s in sources_of(log)), "not the right answer")
    check(level > SOUND_RMS, f"the assistant is hardly heard: {level:.0f}")


async def hold_and_keys(server: Running, port: int, folder: Path) -> None:
    """Press a key, hear its answer, hold, and come back."""
    async with telephone(folder, port, CODECS["PCMU"], spoken=False) as phone:
        await asyncio.sleep(GREETING_S)
        await phone.command("sndcode", "1")
        await asyncio.sleep(3)
        await phone.command("hold")
        await asyncio.sleep(2)
        await phone.command("resume")
        await asyncio.sleep(2)
    log = await asyncio.to_thread(log_of_latest, server)
    kinds = [event.kind for event in log]
    check(any("hours-week" in s for s in sources_of(log)), "no key came")
    check(kinds.count("caller.hold") == 2, f"held and back: {kinds.count('caller.hold')} of 2")


async def the_bad_network(server: Running, port: int, folder: Path) -> None:
    """Have the same spoken call with 5 % of packets lost, and jitter of 40 ms, both ways."""
    async with SipProxy(("127.0.0.1", port), seed=1, audio_network=BAD) as proxy:
        await a_spoken_call(server, proxy.address[1], folder, CODECS["PCMU"])
        check(bool(proxy.audio), "the audio did not take the bad way")


async def spoken(server: Running, folder: Path, codec: str) -> None:
    """Have a spoken call with one codec."""
    await a_spoken_call(server, port_of(server), folder, CODECS[codec])


PARTS: dict[str, Callable[[Running, Path], Awaitable[None]]] = {
    **{
        f"baresip, {name}": lambda server, folder, name=name: spoken(server, folder, name)
        for name in CODECS
    },
    "baresip, hold and keys": lambda s, folder: hold_and_keys(s, port_of(s), folder),
    "baresip, bad network": lambda s, folder: the_bad_network(s, port_of(s), folder),
}

if __name__ == "__main__":
    sys.exit(run_parts(PARTS, needs=["baresip"], TOM_SIP="true"))
