"""Asks every server now and then whether it is well, so that no caller has to find out."""

from __future__ import annotations

import asyncio
from random import Random

import structlog

from apps.llm.gateway.board import Seat
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import Kind

JITTER = 0.2

_log = structlog.get_logger(__name__)


def wait_s(every_s: float, share: float) -> float:
    """Return how long to wait for the next probe, so that servers are not asked all at once.

    Args:
        every_s: How long on the average.
        share: A random number in [0, 1).
    """
    return every_s * (1.0 + JITTER * (2.0 * share - 1.0))


async def watch(gateway: Gateway, every_s: float, rng: Random | None = None) -> None:
    """Probe every server for as long as this runs; the first time at once.

    Args:
        gateway: Whose servers.
        every_s: How often each one; 0 never.
        rng: Source of randomness.
    """
    if not every_s:
        return
    rng = rng or Random()  # noqa: S311 - it spreads probes, and keeps no secret
    async with asyncio.TaskGroup() as tasks:
        for provider in gateway.providers:
            if provider.kind is not Kind.EMBEDDED:
                tasks.create_task(_probe(gateway, provider.name, every_s, rng))


def _tell(name: str, before: bool | None, seat: Seat) -> None:
    if seat.up is False and before is not False:
        _log.warning("provider_down", provider=name, code=seat.trouble)
    elif seat.up and before is False:
        _log.info("provider_up", provider=name)


async def _probe(gateway: Gateway, name: str, every_s: float, rng: Random) -> None:
    while True:
        before = gateway.seat(name).up
        await gateway.probe(name)
        _tell(name, before, gateway.seat(name))
        await asyncio.sleep(wait_s(every_s, rng.random()))
