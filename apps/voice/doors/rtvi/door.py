"""The RTVI door: RTVI's messages over a data channel, speech beside it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import (
    CallerDigit,
    CallerHungUp,
    CallerInterrupted,
    CallerRating,
    CallerText,
    CallerTurnEnded,
    CallRequest,
    Capabilities,
    DoorEvent,
    TurnsByHand,
)
from apps.voice.doors.client_hand_over import ClientHandOver
from apps.voice.doors.peer import Patience
from apps.voice.doors.rtvi.messages import (
    VERSION,
    CallResult,
    ClientMessage,
    HangUp,
    Keys,
    Ready,
    Refused,
    Request,
    Typed,
    read_message,
)
from apps.voice.doors.rtvi.translate import (
    Message,
    Result,
    Script,
    Telling,
    hand_over,
    played,
    translate,
)
from apps.voice.doors.webrtc.peer import ChannelText, Peer, PeerEvent

CHANNEL = "chat"


class RtviDoor:
    """One call of an RTVI client.

    Args:
        peer: The connection, answered; it need not stand yet.
        request: What the caller asks for.
    """

    name = "rtvi"
    unplayed_ms = 0.0

    def __init__(self, peer: Peer, request: CallRequest) -> None:
        self.peer, self.request = peer, request
        self.capabilities = Capabilities(transfer=True)
        self._telling = Telling()
        self._patience = Patience()
        self._hand_over = ClientHandOver()
        self._call_id = ""

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad messages are answered with an error and dropped."""
        while True:
            peer = self.peer
            async with aclosing(peer.events()) as events:
                async for event in events:
                    if isinstance(event, CallerHungUp) and peer is not self.peer:
                        break  # the call goes on over another connection
                    for arrival in await self._arrivals(event):
                        yield arrival
                        if isinstance(arrival, CallerHungUp):
                            return
            if not await self.peer.connected():
                yield CallerHungUp(failed=True)
                return

    async def move(self, peer: Peer) -> None:
        """Go on over another connection, which the client made because the old one failed."""
        old, self.peer = self.peer, peer
        await old.close()

    async def _arrivals(self, event: PeerEvent) -> Sequence[DoorEvent]:
        if not isinstance(event, ChannelText):
            return [event]
        try:
            return await self._read(event.text)
        except ProtocolError as error:
            return [] if self.complain(error) else [CallerHungUp(failed=True)]

    def complain(self, error: TomError) -> bool:
        """Tell the client of an error; returns False when that was one too many."""
        id = error.id if isinstance(error, Refused) else None
        told: Message = {"error": error.message, "code": error.code}
        if id is not None:
            self._answer("error-response", told, id)
        else:
            fatal = not isinstance(error, ProtocolError)
            self._answer("error", told | {"fatal": fatal, "message": error.message})
        return not self._patience.ends(error)

    # --- the call

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, when it is due."""
        self.peer.play(frame)
        self._follow(played(self._telling))

    async def flush(self) -> None:
        """Drop what has not left; the rest is on its way, and short."""
        self.peer.flush()

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send one live event in RTVI's words."""
        self._follow(translate(self._telling, kind, data, time.time()))

    async def transfer(self, target: str, summary: str) -> None:
        """Call the client's function that connects the caller to a person.

        Raises:
            TransferFailed: The function's result says that it failed.
        """
        self._hand_over.begin()
        self._call_id = f"call-{self._telling.sent}"
        self._follow(hand_over(self._telling, self._call_id, target, summary))
        await self._hand_over.outcome()

    async def close(self, reason: str) -> None:
        """Hang up, once the caller has heard and read the last of it."""
        gone = {"type": "signalling", "message": {"type": "peerLeft"}}
        self.peer.send(json.dumps(gone))
        await self.peer.linger()
        await self.peer.close()

    # --- the client

    async def _read(self, raw: str) -> Sequence[DoorEvent]:
        await self._patience.message()
        return self._carry_out(read_message(raw))

    def _carry_out(self, message: ClientMessage) -> Sequence[DoorEvent]:
        match message:
            case Ready(id=id):
                about = {"library": "tom", "protocol": VERSION}
                self._answer("bot-ready", {"version": VERSION, "about": about}, id)
            case Typed(text=text):
                return [CallerText(text)]
            case Keys(digits=digits):
                return [CallerDigit(digit) for digit in digits]
            case Request():
                arrival = read_request(message)
                self._answer("server-response", {"t": message.name, "d": {"ok": True}}, message.id)
                return [arrival]
            case CallResult(call_id=call_id):
                if call_id == self._call_id:
                    self._hand_over.told(worked=not message.failed)
            case HangUp():
                return [CallerHungUp()]
        return []

    def _answer(self, kind: str, data: Any, id: str | None = None) -> None:
        script = Script(self._telling)
        script.send(kind, data, id)
        self._follow((script.now, script.messages))

    def _follow(self, result: Result) -> None:
        self._telling, messages = result
        for message in messages:
            self.peer.send(json.dumps(message, ensure_ascii=False))


def read_request(request: Request) -> DoorEvent:
    """Read what a client's application asks of TOM itself.

    Raises:
        Refused: TOM has no such request.
    """
    match request.name, request.data:
        case "rating", {"stars": int(stars)} if 1 <= stars <= 5 and stars is not True:
            return CallerRating(stars)
        case "interrupt", _:
            return CallerInterrupted()
        case "turns_by_hand", {"on": bool(on)}:
            return TurnsByHand(on)
        case "turn_ended", None | {}:
            discard = bool((request.data or {}).get("discard", False))
            return CallerTurnEnded(discard)
    message = f"TOM has no request {request.name[:40]!r} with such data."
    raise Refused(message, code="unknown_message", id=request.id)
