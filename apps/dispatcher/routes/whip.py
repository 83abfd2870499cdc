"""The routes of the WebRTC door: WHIP (RFC 9725) with audio both ways. docs/doors/webrtc.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.core.errors import ProtocolError
from apps.dispatcher.routes.peer_calls import PeerCalls, answer_page
from apps.dispatcher.routes.reception import Reception
from apps.voice.doors.base import CallRequest
from apps.voice.doors.webrtc.door import LABEL, WebRtcDoor
from apps.voice.doors.webrtc.ice import IceServer
from apps.voice.doors.webrtc.peer import Peer

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"


def router(
    reception: Reception, calls: PeerCalls, ice_servers: Callable[[], Sequence[IceServer]] = tuple
) -> APIRouter:
    """Return the routes under /whip.

    Args:
        reception: Takes the calls.
        calls: Keeps them.
        ice_servers: Tells the STUN and TURN servers, for us and for the callers.
    """
    routes = APIRouter()
    whip = _Whip(reception, calls, ice_servers)
    for path, method, handler in (
        ("/whip", "POST", whip.call),
        ("/whip", "OPTIONS", whip.options),
        ("/whip/config", "GET", whip.config),
        ("/whip/{name}", "PATCH", whip.trickle),
        ("/whip/{name}", "DELETE", whip.hang_up),
        ("/whip/{name}", "OPTIONS", whip.options),
    ):
        routes.add_route(path, partial(answer_page, reception, handler), methods=[method])
    return routes


@dataclass(frozen=True, slots=True)
class _Whip:
    """The requests of the WebRTC door."""

    _reception: Reception
    _calls: PeerCalls
    _ice_servers: Callable[[], Sequence[IceServer]]

    async def call(self, request: Request) -> Response:
        """POST: answer an offer."""
        offer = await _body(request, SDP)
        wanted = self._reception.authorise(request, _wishes(request))
        observe = _flag(request, "observe")
        if observe and not self._reception.may_observe(request):
            raise ProtocolError(
                "Observing a call from another machine needs the operator token.",
                hint="Send it as Authorization: Bearer, or leave observe out.",
                code="forbidden",
            )

        ice_servers = self._ice_servers()

        async def answer() -> WebRtcDoor:
            peer = await Peer.answer(offer, ice_servers, label=LABEL)
            return WebRtcDoor(peer, wanted, observe=observe)

        name, door = await self._calls.begin(request, answer)
        response = Response(door.peer.answer_sdp, status_code=201, media_type=SDP)
        response.headers["Location"] = f"{request.url.path.rstrip('/')}/{name}"
        response.headers["Accept-Patch"] = FRAGMENT
        for link in map(_link, ice_servers):
            response.headers.append("Link", link)
        return response

    async def trickle(self, request: Request) -> Response:
        """PATCH: take the caller's further candidates."""
        door = self._calls.find(request.path_params["name"])
        await door.peer.add_candidates(await _body(request, FRAGMENT))
        return Response(status_code=204)

    async def hang_up(self, request: Request) -> Response:
        """DELETE: the caller hangs up."""
        await self._calls.hang_up(request.path_params["name"])
        return Response(status_code=200)

    async def options(self, request: Request) -> Response:
        """OPTIONS: what may be posted."""
        return Response(status_code=204, headers={"Accept-Post": SDP})

    async def config(self, request: Request) -> Response:
        """GET: what a browser's RTCPeerConnection is to be made with."""
        self._reception.authorise(request, CallRequest())  # TURN servers cost what is sent by them
        return JSONResponse(
            {"ice_servers": [_as_browser(server) for server in self._ice_servers()]}
        )


async def _body(request: Request, media_type: str) -> str:
    """Return a request's text.

    Raises:
        ProtocolError: It is of another type (``bad_type``), or no UTF-8.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise ProtocolError(
            "The body is of another type.", hint=f"Send {media_type}.", code="bad_type"
        )
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError:
        code = "bad_sdp" if media_type == SDP else "bad_message"
        raise ProtocolError("The body is no UTF-8.", code=code) from None


def _wishes(request: Request) -> CallRequest:
    """Return what the query asks for.

    Raises:
        ProtocolError: With code ``bad_message``.
    """
    profile = request.query_params.get("profile", "")
    language = request.query_params.get("language", "")
    if len(profile) > 40 or language not in ("", "de", "en"):
        raise ProtocolError(
            "The query asks for a profile or a language that cannot be.",
            hint="language is de, en, or left out.",
            code="bad_message",
        )
    return CallRequest(profile, language)


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true", "yes")


def _as_browser(server: IceServer) -> dict[str, Any]:
    told: dict[str, Any] = {"urls": list(server.urls)}
    if server.username:
        told |= {"username": server.username, "credential": server.credential}
    return told


def _link(server: IceServer) -> str:
    """Return a server as a Link header (RFC 9725, 4.6)."""
    link = f'<{server.urls[0]}>; rel="ice-server"'
    if server.username:
        link += f'; username="{server.username}"; credential="{server.credential}"'
        link += '; credential-type="password"'
    return link
