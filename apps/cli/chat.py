"""A typed call: lines in, the assistant's sentences out."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from apps.cli.caller import call_address, cut_off, may_observe
from apps.cli.printing import CallPrinter
from apps.core.errors import TomError

_KEEP_OPEN_S = 10.0
_MY_TURN = ("listening", "awaiting_rating")
_SHOWN = {
    "call.started",
    "transcript.final",
    "notice",
    "error",
    "transfer",
    "rating",
    "reward",
    "call.ended",
}


def _lines_of(typed: TextIO) -> asyncio.Queue[str]:
    """Read lines in a daemon thread: a read that waits for a person must not hold up the exit."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody waits for lines any more
            for line in typed:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True, name="typed lines").start()
    return lines


class Chat:
    """One typed call.

    Args:
        url: The server's address.
        start: Further fields of the start message.
        console: Where the conversation is shown.
    """

    def __init__(self, url: str, start: Mapping[str, Any], console: Console) -> None:
        self._url = call_address(url)
        observe = may_observe(url, str(start.get("token", "")))
        self._start = {"type": "start", "mode": "text", "observe": observe, **start}
        self._printer = CallPrinter(console)
        self._my_turn = asyncio.Event()
        self._state = ""
        self._ended = False

    async def run(self, typed: TextIO) -> None:
        """Talk until either side ends the call.

        Raises:
            TomError: The server cannot be reached, or refused the call.
        """
        try:
            async with connect(self._url) as socket:
                await socket.send(json.dumps(self._start))
                tasks = [
                    asyncio.create_task(self._send(socket, typed)),
                    asyncio.create_task(self._keep_open(socket)),
                ]
                try:
                    await self._receive(socket)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        except (OSError, InvalidURI, InvalidHandshake) as error:
            raise TomError(
                f"No TOM answers at {self._url}.", hint="Start one with `tom serve`."
            ) from error

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            async for raw in socket:
                if isinstance(raw, bytes):
                    continue
                event = json.loads(raw)
                if event["type"] == "error":
                    if not self._state:
                        raise TomError(event["message"], hint=event["hint"], code=event["code"])
                    self._my_turn.set()  # the line was refused: another may be typed
                self._ended = self._ended or event["type"] == "call.ended"
                if event["type"] == "state":
                    self._note_state(event["state"])
                by_caller = event["type"] == "transcript.final" and event["role"] == "caller"
                if event["type"] in _SHOWN and not by_caller:
                    self._printer.show(event)
        except ConnectionClosed as closed:
            if not self._ended:
                raise cut_off() from closed

    def _note_state(self, state: str) -> None:
        self._state = state
        if state in ("listening", "awaiting_rating"):
            self._my_turn.set()

    async def _send(self, socket: ClientConnection, typed: TextIO) -> None:
        """Send a line a turn: lines that come faster, from a file say, wait for their answers."""
        lines = _lines_of(typed)
        while text := (await lines.get()).strip():
            await self._my_turn.wait()
            self._my_turn.clear()
            await socket.send(json.dumps({"type": "text", "text": text}))
        await self._my_turn.wait()
        await socket.send(json.dumps({"type": "hangup"}))

    async def _keep_open(self, socket: ClientConnection) -> None:
        while True:
            await asyncio.sleep(_KEEP_OPEN_S)
            await socket.send(json.dumps({"type": "ping"}))
