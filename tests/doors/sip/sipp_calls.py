"""sipp's scenarios and RFC 4475's torture messages against a server.

    python -m tests.doors.sip.sipp_calls [--only cancel]

The server's engines are fakes, for fifty calls at once are to try the door and not the recogniser.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import numpy as np

from apps.core.resources import resource
from apps.store.call_tables import call_events
from apps.store.calls import list_calls
from apps.voice.audiofile import read_audio
from apps.voice.g711 import ulaw_encode
from apps.voice.resample import resample
from tests.doors.parts import Part, check, run_parts, tell
from tests.doors.sip.torture import torture
from tests.e2e.servers import Running, wait_until
from tests.e2e.telephone import port_of

SCENARIOS = Path(__file__).parent / "sipp"
AT_ONCE = 50


def write_speech(path: Path) -> None:
    """Write the demonstration's question as sipp streams it: 8 kHz µ-law without a header."""
    spoken = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, 8000)
    quiet = np.zeros(16_000, np.int16)
    path.write_bytes(ulaw_encode(np.concatenate((quiet, spoken, quiet))))


async def play(server: Running, folder: Path, scenario: str, *more: str) -> None:
    """Have sipp play one scenario; it ends with 0 when every call went as written."""
    folder.mkdir()
    write_speech(folder / "speech.ulaw")
    process = await asyncio.create_subprocess_exec(
        "sipp",
        f"127.0.0.1:{port_of(server)}",
        *("-s", "kfz", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1"),
        *("-nostdin", "-timeout", "60", "-trace_err", *(more or ("-m", "1"))),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.STDOUT,
    )
    busiest = 0
    while process.returncode is None:
        await asyncio.sleep(0.2)
        ready = await asyncio.to_thread(server.ready)
        busiest = max(busiest, int(ready["live_calls"]))
    if more:
        tell(f"    {busiest} calls were going on at once")
        check(busiest == AT_ONCE, f"{busiest} calls at once, not {AT_ONCE}")
    errors = "".join(path.read_text() for path in folder.glob("*_errors.log"))
    check(process.returncode == 0, f"sipp ended with {process.returncode}: {errors[:300]}")
    await asyncio.to_thread(wait_until, lambda: server.ready()["live_calls"] == 0, 15)


async def scenario(server: Running, folder: Path, *, name: str) -> None:
    """Play one scenario once."""
    await play(server, folder, name)


async def hold(server: Running, folder: Path) -> None:
    """Hold in both ways; the server must have noticed both."""
    await play(server, folder, "hold")
    with server.database().reading() as conn:
        latest = list_calls(conn)[0].call_ref
        mine = call_events.select().where(call_events.c.call_ref == latest)
        kinds = [event.kind for event in conn.execute(mine).all()]
    check(kinds.count("caller.hold") >= 2, f"hold was noticed {kinds.count('caller.hold')} times")


async def fifty(server: Running, folder: Path) -> None:
    """Have fifty spoken calls at once; each must end as its caller ended it."""
    await play(server, folder, "call", "-m", str(AT_ONCE), "-l", str(AT_ONCE), "-r", "25")
    with server.database().reading() as conn:
        reasons = [call.reason for call in list_calls(conn, limit=AT_ONCE)]
    check(
        reasons == ["caller_hung_up"] * AT_ONCE, f"calls ended as {sorted(set(map(str, reasons)))}"
    )


async def tortured(server: Running, folder: Path) -> None:
    """Send the torture messages while a call goes on."""
    for line in await torture(port_of(server)):
        tell(f"    {line}")


ONCE = ("options", "late-offer", "cancel", "dtmf-info", "refused", "no-codec")
PARTS: dict[str, Part] = {
    **{f"sipp, {name}": partial(scenario, name=name) for name in ONCE},
    "sipp, hold": hold,
    "sipp, fifty calls at once": fifty,
    "RFC 4475 torture messages": tortured,
}

if __name__ == "__main__":
    sys.exit(
        run_parts(
            PARTS,
            needs=["sipp"],
            TOM_SIP="true",
            TOM_MAX_CALLS="60",
            TOM_STT_ENGINE="fake",
            TOM_TTS_ENGINE="fake",
        )
    )
