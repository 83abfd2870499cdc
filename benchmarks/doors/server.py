"""The server of this benchmark: `tom serve` with every door that is measured open.

    python -m benchmarks.doors.server 8765          engines that cost nothing but their delays
    python -m benchmarks.doors.server 8765 --echo   calls that only hear themselves

Settings come from the environment.
"""

from __future__ import annotations

import argparse
import asyncio

import numpy as np

from apps.core.audio import FRAME_BYTES
from apps.core.loop import new_event_loop
from apps.dispatcher.switchboard import Switchboard
from apps.voice.doors.base import CallerAudio, Door
from benchmarks.doors.webrtc_wire import use_loopback
from benchmarks.pipecat.tom_server import serve

SOUND = 500
"""A frame with a sample of this size is played back: -36 dBFS."""


async def echo(switchboard: Switchboard, door: Door, reserved: str = "") -> None:
    """Play what is heard, frame by frame, at once; nothing is played of silence.

    So what was heard late does not keep what comes after it late: the assistant, too, begins each
    answer anew.
    """
    await door.tell("call.started", {})  # a telephone is answered by it
    heard = bytearray()
    async for event in door.events():
        if not isinstance(event, CallerAudio):
            continue
        heard += event.pcm
        while len(heard) >= FRAME_BYTES:
            frame = bytes(heard[:FRAME_BYTES])
            del heard[:FRAME_BYTES]
            if np.abs(np.frombuffer(frame, "<i2").astype(np.int32)).max() >= SOUND:
                await door.play(frame)
    await door.close("completed")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("port", type=int)
    parser.add_argument("--echo", action="store_true")
    asked = parser.parse_args()
    use_loopback()
    if asked.echo:
        Switchboard.take = echo  # type: ignore[method-assign, assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(asked.port))


if __name__ == "__main__":
    main()
