"""Which doors are open, from the settings: their routes, and what listens beside HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from apps.core.errors import ConfigError
from apps.dispatcher.routes import calls, twilio
from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.trust import AddressLimits, is_origin
from apps.settings import Settings

DOORS = ("websocket", "twilio")
"""Every door there is, by the name that metrics and the store know it by."""


def routers(settings: Settings, reception: Reception) -> Sequence[APIRouter]:
    """Return the routes of every door that comes in over HTTP."""
    return (calls.router(reception), twilio.router(reception))


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
