"""Which doors are open, from the settings: their routes, and what listens beside HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from fastapi import APIRouter

from apps.dispatcher.routes import calls, rating, realtime, tokens
from apps.dispatcher.routes.asterisk import router as asterisk_router
from apps.dispatcher.routes.reception import Reception
from apps.doors.asterisk import open_audiosocket
from apps.doors.carriers import telnyx_router, twilio_router, vonage_router
from apps.doors.outgoing import outgoing_router
from apps.doors.reception import DOORS, door_max_calls, make_reception, read_origins
from apps.doors.sip import open_sip
from apps.doors.webrtc import rtvi_router, whip_router
from apps.settings import Settings
from apps.voice.doors.asterisk.desk import Desk

__all__ = ["DOORS", "door_max_calls", "make_reception", "open_doors", "read_origins"]


async def open_doors(
    settings: Settings, reception: Reception, stack: AsyncExitStack
) -> Sequence[APIRouter]:
    """Open the doors that listen by themselves, and return the routes of those over HTTP.

    Args:
        settings: All settings.
        reception: What the doors share.
        stack: Closed when the server stops; closes the doors and what is left of their calls.

    Raises:
        ConfigError: A door's setting cannot be used, or an address cannot be listened on.
    """
    desk = Desk()  # what Asterisk says by HTTP of the calls that come by other ways
    await open_audiosocket(settings, reception, desk, stack)
    dialers = await open_sip(settings, reception.switchboard, stack)
    return (
        calls.router(reception),
        tokens.router(reception),
        rating.router(reception),
        whip_router(settings, reception, stack),
        rtvi_router(settings, reception, stack),
        realtime.router(reception, settings.realtime_key),
        twilio_router(settings, reception),
        telnyx_router(settings, reception),
        vonage_router(settings, reception),
        asterisk_router(reception, desk, password=settings.asterisk_password),
        outgoing_router(settings, reception, dialers, stack),
    )
