"""The Realtime door: one session over one WebSocket.

What the client's events mean is decided in `requests.py`, what TOM's call is in the client's terms
in `translate.py`; this shell adds the socket, the audio's way to and from 16 kHz, and the bounds.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from apps.core.audio import FRAME_MS, SAMPLE_BYTES, SAMPLE_RATE_HZ
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import (
    CallerAudio,
    CallerHungUp,
    CallRequest,
    Capabilities,
    DoorEvent,
    TurnsByHand,
)
from apps.voice.doors.client_hand_over import ClientHandOver
from apps.voice.doors.messages import CLOSE_NORMAL, MAX_FRAME_MS
from apps.voice.doors.peer import Patience, Socket, refuse
from apps.voice.doors.realtime import happenings as tom
from apps.voice.doors.realtime.audio import Listening, Playback, Speaking
from apps.voice.doors.realtime.conversation import Conversation, Event
from apps.voice.doors.realtime.messages import (
    Append,
    CallOutput,
    ClientEvent,
    CreateItem,
    Refused,
    Truncate,
    UpdateSession,
    read_event,
    read_item,
)
from apps.voice.doors.realtime.requests import carry_out
from apps.voice.doors.realtime.session import HAND_OVER, Session
from apps.voice.doors.realtime.translate import translate

SETTLE_S = 1.0
"""So long a call waits for the client's first session.update before it begins."""
_PIECE_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * MAX_FRAME_MS // 1000


class RealtimeDoor:
    """One call over one Realtime session.

    Args:
        socket: The accepted connection.
        request: Whom the caller calls.
        model: What the client calls it.
    """

    name = "realtime"

    def __init__(self, socket: Socket, request: CallRequest, model: str) -> None:
        self._socket, self.request = socket, request
        token = secrets.token_hex(6)
        session = Session(f"sess_{token}", model, language=request.language)
        self.capabilities = Capabilities(transfer=True)
        self._conversation = Conversation(session, token)
        self._listening = Listening(session.input)
        self._speaking = Speaking(session.output)
        self._playback = Playback()
        self._patience = Patience()
        self._waiting: list[str | bytes | None] = []
        self._hand_over = ClientHandOver()

    @classmethod
    async def accept(cls, socket: Socket, request: CallRequest, model: str) -> RealtimeDoor:
        """Open the session, and let the client set it up before the call begins."""
        door = cls(socket, request, model)
        await socket.send_text(json.dumps(door.hello()))
        await door._set_up()
        return door

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent has not been played, by what the client last told."""
        return self._playback.unplayed_ms(loop_ms())

    def hello(self) -> Event:
        """Return the session's first event."""
        session = self._conversation.session.as_dict()
        return {"type": "session.created", "event_id": _event_id(), "session": session}

    async def _set_up(self) -> None:
        """Wait a moment for the client's first session.update; whatever else comes begins it."""
        until = asyncio.get_running_loop().time() + SETTLE_S
        while not self._waiting:
            try:
                async with asyncio.timeout_at(until):
                    raw = await self._socket.receive()
            except TimeoutError:
                break
            try:
                if raw is None or not isinstance(event := read_event(raw), UpdateSession):
                    self._waiting.append(raw)
                    break
                await self._carry_out(event)
                break
            except ProtocolError as error:
                if not await self._complain(error):
                    self._waiting.append(None)
        session = self._conversation.session
        self.request = replace(self.request, language=session.language)
        self.capabilities = replace(self.capabilities, audio=not session.typed)

    # --- the client

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; what is refused is answered with an error event.

        A client that says nothing is no broken one: whoever holds a button to speak sends
        nothing meanwhile, and the call itself ends where nobody says a word.
        """
        if self._conversation.session.turns is None:
            yield TurnsByHand(on=True)
        while True:
            raw = self._waiting.pop() if self._waiting else await self._socket.receive()
            if raw is None:
                yield CallerHungUp()
                return
            try:
                arrivals = await self._read(raw)
            except ProtocolError as error:
                if not await self._complain(error):
                    yield CallerHungUp(failed=True)
                    return
                continue
            for arrival in arrivals:
                yield arrival

    async def _read(self, raw: str | bytes) -> Sequence[DoorEvent]:
        await self._patience.message()
        event = read_event(raw)
        return self._hear(event) if isinstance(event, Append) else await self._carry_out(event)

    async def _carry_out(self, event: ClientEvent) -> Sequence[DoorEvent]:
        outcome = carry_out(self._conversation, event)
        self._conversation = outcome.conversation
        match event:
            case UpdateSession():
                self._use(outcome.conversation.session)
            case Truncate(item_id=item_id) if item_id == outcome.conversation.latest[1]:
                self._playback.truncated(event.audio_end_ms, loop_ms())
            case CreateItem():
                self._note_outcome(event)
        await self._send(outcome.answers)
        return outcome.arrivals

    def _hear(self, event: Append) -> list[DoorEvent]:
        if not self.capabilities.audio:
            message = "The call was begun in text; it takes no audio."
            raise Refused(message, code="audio_not_expected", event_id=event.event_id)
        self._patience.check_audio()
        audio = event.decoded()
        pcm = self._listening.decode(audio)
        length_ms = self._listening.length_ms(audio)
        self._patience.audio(length_ms)
        heard_ms = self._conversation.heard_ms + length_ms
        self._conversation = replace(self._conversation, heard_ms=heard_ms)
        pieces = range(0, len(pcm), _PIECE_BYTES)
        return [CallerAudio(pcm[begin : begin + _PIECE_BYTES]) for begin in pieces]

    def _use(self, session: Session) -> None:
        if session.input != self._listening.kind:
            self._listening = Listening(session.input)
        if session.output != self._speaking.kind:
            self._speaking = Speaking(session.output)

    def _note_outcome(self, event: CreateItem) -> None:
        item = read_item(event)
        if not isinstance(item, CallOutput):
            return
        calls = (i for i in self._conversation.items.values() if i.kind == "function_call")
        if any(i.call_id == item.call_id and i.name == HAND_OVER for i in calls):
            self._hand_over.told(worked=not item.failed)

    async def _complain(self, error: ProtocolError) -> bool:
        """Tell the client of an error; returns False when that was one too many."""
        if self._patience.ends(error):
            await refuse(self._socket, error, error_event(error))
            return False
        await self._socket.send_text(json.dumps(error_event(error)))
        return True

    # --- the call

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame as a delta of the open response's audio."""
        if self._conversation.response is None:
            return  # the client has cancelled it
        audio = base64.b64encode(self._speaking.encode(frame)).decode("ascii")
        self._playback.sent(loop_ms())
        await self._tell(tom.Played(audio, FRAME_MS))

    async def flush(self) -> None:
        """Tell the client to drop what it has not played."""
        self._speaking.reset()
        self._playback.dropped(loop_ms())
        await self._tell(tom.Dropped())

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send a live event of the call as the protocol's own events."""
        match kind, data:
            case "call.started", {"language": str(language)}:
                session = self._conversation.session.begun(language)
                self._conversation = replace(self._conversation, session=session)
            case "error" | "notice", {"code": str(code)}:
                said = str(data.get("message") or data.get("text") or code)
                await self._send([error_event(TomError(said, code=code), kind="server_error")])
            case _ if (happening := tom.read_happening(kind, data)) is not None:
                await self._tell(happening)

    async def transfer(self, target: str, summary: str) -> None:
        """Call the client's function that connects the caller to a person.

        Raises:
            TransferFailed: The function's output says that it failed.
        """
        self._hand_over.begin()
        await self._tell(tom.HandedOver(target, summary))
        await self._hand_over.outcome()

    async def close(self, reason: str) -> None:
        """Close the session."""
        await self._socket.close(CLOSE_NORMAL, reason)

    async def _tell(self, happening: tom.Happening) -> None:
        was = self._conversation.response
        self._conversation, events = translate(self._conversation, happening)
        response = self._conversation.response
        if response is not None and (was is None or was.id != response.id):
            self._playback.sent_ms = 0.0
        await self._send(events)

    async def _send(self, events: list[Event]) -> None:
        for event in events:
            await self._socket.send_text(json.dumps(event, ensure_ascii=False))


def error_event(error: TomError, kind: str = "invalid_request_error") -> Event:
    """Return an error as the protocol's error event."""
    hint = f" {error.hint}" if error.hint else ""
    refused = error if isinstance(error, Refused) else None
    told = {
        "type": kind,
        "code": error.code,
        "message": error.message + hint,
        "param": refused.param if refused else None,
        "event_id": refused.event_id if refused else None,
    }
    return {"type": "error", "event_id": _event_id(), "error": told}


def _event_id() -> str:
    return f"event_{secrets.token_hex(8)}"
