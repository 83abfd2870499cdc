"""The calls that go out, from the settings: by which ways, to whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from fastapi import APIRouter

from apps.dispatcher.outgoing.calls import OutgoingCalls
from apps.dispatcher.outgoing.decide import REFUSALS, Rules, read_holidays
from apps.dispatcher.outgoing.status import RESULTS
from apps.dispatcher.outgoing.twilio import TwilioDialer
from apps.dispatcher.routes import outgoing
from apps.dispatcher.routes.reception import Reception
from apps.settings import Settings
from apps.voice.doors.base import Dialer


def outgoing_router(
    settings: Settings,
    reception: Reception,
    dialers: Mapping[str, Dialer],
    stack: AsyncExitStack,
) -> APIRouter:
    """Return the routes by which calls are made; what is left of them ends with the stack.

    Args:
        settings: All settings.
        reception: What the doors share.
        dialers: The ways out that stand with doors which are open.
        stack: Closed when the server stops.

    Raises:
        ConfigError: TOM_OUTGOING_HOLIDAYS names something that is no day.
    """
    made = OutgoingCalls(
        reception.switchboard,
        {**dialers, **_twilio(settings, reception)},
        _rules(settings),
        machines=settings.answering_machine,
        caller_id=settings.outgoing_caller_id,
        ring_s=settings.outgoing_ring_s,
    )
    stack.push_async_exit(made)
    reception.switchboard.services.metrics.know_outgoing([*RESULTS, *REFUSALS])
    return outgoing.router(reception, made)


def _twilio(settings: Settings, reception: Reception) -> Mapping[str, Dialer]:
    """Return the way out by Twilio, where everything that it needs is set."""
    account, token = settings.twilio_account_sid, settings.twilio_auth_token
    if not (account and token and settings.public_url and settings.outgoing_caller_id):
        return {}
    dialer = TwilioDialer(
        reception.expected,
        base_url=settings.twilio_api_url,
        account_sid=account,
        auth_token=token,
        stream_url=f"ws{settings.public_url.removeprefix('http').rstrip('/')}/twilio",
    )
    return {"twilio": dialer}


def _rules(settings: Settings) -> Rules:
    prefixes = (part.strip() for part in settings.outgoing_prefixes.split(","))
    return Rules(
        prefixes=tuple(part for part in prefixes if part),
        holidays=read_holidays(settings.outgoing_holidays),
        max_per_day=settings.outgoing_max_per_day,
        retries=settings.outgoing_retries,
        retry_s=settings.outgoing_retry_s,
    )
