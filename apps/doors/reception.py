"""What all doors share, from the settings: who may call, and how many at once."""

from __future__ import annotations

from collections.abc import Mapping

from apps.core.errors import ConfigError
from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.trust import AddressLimits, is_origin
from apps.settings import Settings

DOORS = (
    "websocket",
    "twilio",
    "telnyx",
    "vonage",
    "asterisk",
    "audiosocket",
    "sip",
    "realtime",
    "webrtc",
    "outgoing",
    "rtvi",
)
"""Every door there is, by the name that metrics and the store know it by."""


def make_reception(settings: Settings, switchboard: Switchboard, operator_token: str) -> Reception:
    """Return what all doors share.

    Raises:
        ConfigError: TOM_ALLOWED_ORIGINS names something that is no origin.
    """
    return Reception(
        switchboard,
        operator_token,
        allowed_origins=read_origins(settings.allowed_origins),
        require_token=settings.require_call_token,
        limits=AddressLimits(settings.calls_per_minute, settings.calls_per_address),
        trust_loopback=settings.trust_loopback,
    )


def read_origins(listed: str) -> frozenset[str]:
    """Return the origins of TOM_ALLOWED_ORIGINS.

    Raises:
        ConfigError: One is none.
    """
    origins = frozenset(part.strip() for part in listed.split(",")) - {""}
    for origin in origins:
        if not is_origin(origin):
            raise ConfigError(
                f"TOM_ALLOWED_ORIGINS names {origin!r}, which is no origin.",
                hint="An origin is like https://www.example.org, without a path.",
            )
    return origins


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
