"""The route of RTVI clients: Pipecat's small WebRTC transport. docs/doors/rtvi.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.core.errors import ProtocolError, UnknownCall
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.peer_calls import PeerCalls, answer_page
from apps.dispatcher.routes.reception import Reception
from apps.voice.doors.base import CallRequest
from apps.voice.doors.rtvi.door import CHANNEL, RtviDoor
from apps.voice.doors.rtvi.sdp import declining, without_video
from apps.voice.doors.webrtc.ice import IceServer
from apps.voice.doors.webrtc.offers import MAX_CANDIDATES
from apps.voice.doors.webrtc.peer import Peer

_HINT = "docs/doors/rtvi.md lists every field."


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Wishes(_Body):
    """What the client's application asks for: its `requestData`."""

    profile: str = Field("", max_length=40)
    language: Literal["", "de", "en"] = ""


class Offer(_Body):
    """A session description, and the call that it belongs to, where there is one."""

    sdp: str
    type: Literal["offer"]
    pc_id: str | None = Field(None, max_length=100)
    restart_pc: bool | None = False
    wishes: Annotated[Wishes, Field(alias="requestData")] = Wishes()


class Candidate(_Body):
    """A candidate as a browser gives it out; empty after the last."""

    candidate: str = Field(max_length=1000)


class Candidates(_Body):
    """Candidates that were found after the offer."""

    pc_id: str = Field(max_length=100)
    candidates: list[Candidate] = Field(max_length=MAX_CANDIDATES)


def router(
    reception: Reception, calls: PeerCalls, ice_servers: Callable[[], Sequence[IceServer]] = tuple
) -> APIRouter:
    """Return the routes under /api/offer.

    Args:
        reception: Takes the calls.
        calls: Keeps them.
        ice_servers: Tells the STUN and TURN servers.
    """
    routes = APIRouter()
    rtvi = _Rtvi(reception, calls, ice_servers)
    for method, handler in (("POST", rtvi.call), ("PATCH", rtvi.trickle)):
        routes.add_route("/api/offer", partial(answer_page, reception, handler), methods=[method])
    return routes


@dataclass(frozen=True, slots=True)
class _Rtvi:
    """The requests of the RTVI door."""

    _reception: Reception
    _calls: PeerCalls
    _ice_servers: Callable[[], Sequence[IceServer]]

    async def call(self, request: Request) -> Response:
        """POST: answer an offer."""
        offer = read_as(Offer, await request.body(), hint=_HINT)
        wishes = CallRequest(offer.wishes.profile, offer.wishes.language)
        wanted = self._reception.authorise(request, wishes)
        going = self._going(offer)
        audible, declined = without_video(offer.sdp)

        async def answer() -> RtviDoor:
            return RtviDoor(await self._answer(audible), wanted)

        if going is not None and offer.pc_id is not None:
            name, peer = offer.pc_id, await self._answer(audible)
            await self._move(name, going, peer)
        else:
            name, door = await self._calls.begin(request, answer)
            peer = door.peer
        sdp = declining(peer.answer_sdp, declined)
        return JSONResponse({"sdp": sdp, "type": "answer", "pc_id": name})

    async def _move(self, name: str, going: RtviDoor, peer: Peer) -> None:
        """Let a call go on over a connection.

        Raises:
            UnknownCall: It has ended meanwhile.
        """
        try:
            self._calls.find(name)
        except UnknownCall:
            await peer.close()
            raise
        await going.move(peer)

    async def _answer(self, sdp: str) -> Peer:
        return await Peer.answer(sdp, self._ice_servers(), label=CHANNEL)

    def _going(self, offer: Offer) -> RtviDoor | None:
        """Return the call that goes on over an offer's connection, where there is one.

        Raises:
            ProtocolError: The offer would change a connection that stands; code ``unsupported``.
        """
        if offer.pc_id is None:
            return None
        if not offer.restart_pc:
            raise ProtocolError(
                "A connection cannot be negotiated anew.",
                hint="Offer a new one with restart_pc.",
                code="unsupported",
            )
        try:
            door = self._calls.find(offer.pc_id)
        except UnknownCall:
            return None  # it has ended
        return door if isinstance(door, RtviDoor) else None

    async def trickle(self, request: Request) -> Response:
        """PATCH: take the caller's further candidates."""
        trickled = read_as(Candidates, await request.body(), hint=_HINT)
        door = self._calls.find(trickled.pc_id)
        await door.peer.add_candidates(as_fragment(trickled.candidates))
        return JSONResponse({"status": "success"})


def as_fragment(candidates: Sequence[Candidate]) -> str:
    """Return candidates as a trickle fragment."""
    lines = [
        f"a={given.candidate}" if given.candidate else "a=end-of-candidates" for given in candidates
    ]
    return "\r\n".join(line.partition("\n")[0] for line in lines)
