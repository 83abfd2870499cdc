"""Opens the SIP door: its endpoint, and its registration at a provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from apps.voice.doors.base import Door
from apps.voice.doors.sip.endpoint import SipEndpoint
from apps.voice.doors.sip.options import SipOptions
from apps.voice.doors.sip.registration import Registration


@asynccontextmanager
async def sip_listener(
    options: SipOptions,
    take: Callable[[Door], Awaitable[None]],
    admit: Callable[[str], None],
) -> AsyncGenerator[SipEndpoint, None]:
    """Listen, and stay registered, for as long as the block lasts.

    Args:
        options: How the door is set up.
        take: Takes a call and stays with it to its end.
        admit: Raises when a door's call would not be taken.

    Raises:
        ConfigError: A port cannot be had.
    """
    endpoint = SipEndpoint(options, take, admit)
    await endpoint.open()
    try:
        if options.account is None:
            yield endpoint
            return
        registration = Registration(endpoint.stack, options.account)
        keeping = endpoint.stack.spawn(registration.run(), "sip registration")
        try:
            yield endpoint
        finally:
            keeping.cancel()
            await registration.leave()
    finally:
        await endpoint.close()
