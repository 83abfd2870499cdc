"""The carriers' doors, from the settings: how their webhooks are checked and their calls moved."""

from __future__ import annotations

from fastapi import APIRouter

from apps.core.errors import ConfigError
from apps.dispatcher.routes import telnyx, twilio, vonage
from apps.dispatcher.routes.reception import Reception
from apps.settings import Settings
from apps.voice.doors.carriers.handovers import TelnyxCalls, TwilioCalls, VonageCalls
from apps.voice.doors.carriers.signatures import rsa_key, telnyx_key


def twilio_router(settings: Settings, reception: Reception) -> APIRouter:
    """Return the routes of Twilio."""
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


def telnyx_router(settings: Settings, reception: Reception) -> APIRouter:
    """Return the routes of Telnyx.

    Raises:
        ConfigError: Its public key cannot be used.
    """
    public_key, api_key = settings.telnyx_public_key, settings.telnyx_api_key
    calls_there = TelnyxCalls(settings.telnyx_api_url, api_key) if api_key else None
    return telnyx.router(
        reception,
        public_key=telnyx_key(public_key) if public_key else None,
        hand_over=calls_there.hand_over if calls_there else None,
        public_url=settings.public_url,
    )


def vonage_router(settings: Settings, reception: Reception) -> APIRouter:
    """Return the routes of Vonage.

    Raises:
        ConfigError: Its private key cannot be used.
    """
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
