"""Which doors are open, from the settings: their routes, and what listens beside HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import structlog
from fastapi import APIRouter

from apps.core.errors import ConfigError
from apps.dispatcher.routes import asterisk, calls, realtime, telnyx, twilio, vonage
from apps.dispatcher.routes.reception import Reception, is_loopback
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.trust import AddressLimits, is_origin
from apps.settings import Settings
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.asterisk.listener import AudioSocketListener
from apps.voice.doors.carriers.handovers import TelnyxCalls, TwilioCalls, VonageCalls
from apps.voice.doors.carriers.signatures import rsa_key, telnyx_key

DOORS = (
    "websocket",
    "twilio",
    "telnyx",
    "vonage",
    "asterisk",
    "audiosocket",
    "sip",
    "realtime",
)
"""Every door there is, by the name that metrics and the store know it by."""


log = structlog.get_logger(__name__)


def routers(settings: Settings, reception: Reception, desk: Desk) -> Sequence[APIRouter]:
    """Return the routes of every door that comes in over HTTP.

    Raises:
        ConfigError: A door's key cannot be used.
    """
    return (
        calls.router(reception),
        realtime.router(reception, settings.realtime_key),
        _twilio(settings, reception),
        _telnyx(settings, reception),
        _vonage(settings, reception),
        asterisk.router(reception, desk, password=settings.asterisk_password),
    )


async def listen(
    settings: Settings, reception: Reception, desk: Desk, stack: AsyncExitStack
) -> None:
    """Open the doors that are no HTTP routes, until the stack is closed.

    Raises:
        ConfigError: An address cannot be listened on.
    """
    if settings.audiosocket_port is not None:
        # A password stands for other machines: who knows it has announced the call by it.
        trusted = (lambda address: False) if settings.asterisk_password else is_loopback
        audiosocket = AudioSocketListener(
            reception.switchboard.take, desk, trusted, now_s=reception.now_s
        )
        port = await stack.enter_async_context(
            audiosocket.listen(settings.audiosocket_host, settings.audiosocket_port)
        )
        log.info("listening", door="audiosocket", host=settings.audiosocket_host, port=port)


def _twilio(settings: Settings, reception: Reception) -> APIRouter:
    account, token = settings.twilio_account_sid, settings.twilio_auth_token
    calls_there = (
        TwilioCalls(settings.twilio_api_url, account, token) if account and token else None
    )
    return twilio.router(
        reception,
        auth_token=token,
        hand_over=calls_there.hand_over if calls_there else None,
        public_url=settings.public_url,
    )


def _telnyx(settings: Settings, reception: Reception) -> APIRouter:
    public_key, api_key = settings.telnyx_public_key, settings.telnyx_api_key
    calls_there = TelnyxCalls(settings.telnyx_api_url, api_key) if api_key else None
    return telnyx.router(
        reception,
        public_key=telnyx_key(public_key) if public_key else None,
        hand_over=calls_there.hand_over if calls_there else None,
        public_url=settings.public_url,
    )


def _vonage(settings: Settings, reception: Reception) -> APIRouter:
    application, path = settings.vonage_application_id, settings.vonage_private_key
    hand_over = None
    if application and path:
        try:
            key = rsa_key(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"TOM_VONAGE_PRIVATE_KEY cannot be read: {error.strerror}.") from None
        hand_over = VonageCalls(settings.vonage_api_url, application, key).hand_over
    return vonage.router(
        reception,
        signature_secret=settings.vonage_signature_secret,
        hand_over=hand_over,
        public_url=settings.public_url,
    )


def make_reception(settings: Settings, switchboard: Switchboard, operator_token: str) -> Reception:
    """Return what all doors share.

    Raises:
        ConfigError: TOM_ALLOWED_ORIGINS names something that is no origin.
    """
    named = (part.strip() for part in settings.allowed_origins.split(","))
    origins = frozenset(part for part in named if part)
    for origin in origins:
        if not is_origin(origin):
            raise ConfigError(
                f"TOM_ALLOWED_ORIGINS names {origin!r}, which is no origin.",
                hint="An origin is like https://www.example.org, without a path.",
            )
    return Reception(
        switchboard,
        operator_token,
        allowed_origins=origins,
        require_token=settings.require_call_token,
        limits=AddressLimits(settings.calls_per_minute, settings.calls_per_address),
    )


def door_max_calls(settings: Settings) -> Mapping[str, int]:
    """Return how many calls at once single doors may have.

    Raises:
        ConfigError: TOM_DOOR_MAX_CALLS names no door, or a number below 0.
    """
    for name, most in settings.door_max_calls.items():
        if name not in DOORS or most < 0:
            raise ConfigError(
                f"TOM_DOOR_MAX_CALLS cannot be used: {name!r}: {most}.",
                hint=f"Doors are {', '.join(DOORS)}; their numbers are 0 or more.",
            )
    return settings.door_max_calls
