"""The WebRTC door: the messages of docs/protocol.md over a data channel, speech beside it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import CallerHungUp, CallRequest, Capabilities, DoorEvent
from apps.voice.doors.messages import Ping, call_event, read_message
from apps.voice.doors.peer import Patience
from apps.voice.doors.webrtc.peer import ChannelText, Peer

LABEL = "events"


class WebRtcDoor:
    """One call over one WebRTC connection.

    Args:
        peer: The connection, answered; it need not stand yet.
        request: What the caller asks for.
        observe: Whether the caller may see the operator's details.
    """

    name = "webrtc"
    unplayed_ms = 0.0

    def __init__(self, peer: Peer, request: CallRequest, *, observe: bool = False) -> None:
        self.peer, self.request = peer, request
        self.capabilities = Capabilities(transfer=True, observe=observe, rates_later=True)
        self._patience = Patience()

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad messages are answered with an error and dropped."""
        async for event in self.peer.events():
            if not isinstance(event, ChannelText):
                yield event
                continue
            try:
                read = await self._read(event.text)
            except ProtocolError as error:
                if self.complain(error):
                    continue
                read = CallerHungUp(failed=True)
            if read is not None:
                yield read
                if isinstance(read, CallerHungUp):
                    return

    def complain(self, error: TomError) -> bool:
        """Tell the caller's side of an error; returns False when that was one too many."""
        self._send({"type": "error", **error.as_dict()})
        return not self._patience.ends(error)

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, when it is due."""
        self.peer.play(frame)

    async def flush(self) -> None:
        """Drop what has not left; the rest is on its way, and short."""
        self.peer.flush()

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send one live event."""
        self._send({"type": kind, **data})

    async def transfer(self, target: str, summary: str) -> None:
        """Tell the client to whom it is to connect the caller."""
        await self.tell("transfer", {"target": target, "summary": summary})

    async def close(self, reason: str) -> None:
        """Hang up, once the caller has heard and read the last of it."""
        await self.peer.linger()
        await self.peer.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        self.peer.send(json.dumps(message, ensure_ascii=False))

    async def _read(self, raw: str) -> DoorEvent | None:
        await self._patience.message()
        message = read_message(raw)
        if isinstance(message, Ping):
            self._send({"type": "pong"})
        return call_event(message)
