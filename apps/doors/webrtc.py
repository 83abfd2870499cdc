"""The doors over WebRTC, from the settings: the page's (WHIP), and RTVI's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from fastapi import APIRouter

from apps.dispatcher.routes import rtvi, whip
from apps.dispatcher.routes.peer_calls import PeerCalls
from apps.dispatcher.routes.reception import Reception
from apps.settings import Settings
from apps.voice.doors.webrtc.ice import IceServer, read_ice_servers, with_credentials


def whip_router(settings: Settings, reception: Reception, stack: AsyncExitStack) -> APIRouter:
    """Return the routes of WHIP; what is left of their calls ends with the stack.

    Raises:
        ConfigError: TOM_ICE_SERVERS cannot be used.
    """
    calls = _calls(reception, "webrtc", stack)
    return whip.router(reception, calls, _ice_servers(settings, reception))


def rtvi_router(settings: Settings, reception: Reception, stack: AsyncExitStack) -> APIRouter:
    """Return the routes of RTVI clients; what is left of their calls ends with the stack.

    Raises:
        ConfigError: TOM_ICE_SERVERS cannot be used.
    """
    calls = _calls(reception, "rtvi", stack)
    return rtvi.router(reception, calls, _ice_servers(settings, reception))


def _calls(reception: Reception, door: str, stack: AsyncExitStack) -> PeerCalls:
    calls = PeerCalls(reception, door)
    stack.push_async_callback(calls.aclose)
    return calls


def _ice_servers(settings: Settings, reception: Reception) -> Callable[[], Sequence[IceServer]]:
    servers = read_ice_servers(settings.ice_servers)
    return lambda: with_credentials(servers, settings.turn_secret, reception.now_s())
