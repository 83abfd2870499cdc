"""Which doors are open, from the settings: their routes, and what listens beside HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from apps.dispatcher.routes import calls, twilio
from apps.dispatcher.routes.reception import Reception
from apps.settings import Settings

DOORS = ("websocket", "twilio")
"""Every door there is, by the name that metrics and the store know it by."""


def routers(settings: Settings, reception: Reception) -> Sequence[APIRouter]:
    """Return the routes of every door that comes in over HTTP."""
    return (calls.router(reception), twilio.router(reception))
