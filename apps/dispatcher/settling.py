"""The end of a call: the policy is rewarded, the end stored, the caller's side told and hung up.

What fails here costs its own step alone, and nothing waits without end: neither a broken disk nor
a jammed connection may keep a line, or another step, from its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import StoreError, UnknownCall
from apps.dispatcher.call_state import EndReason
from apps.dispatcher.live_call import LiveCall
from apps.dispatcher.rt_fsm import CallSession, PolicyRouter
from apps.rl.selector import Learned
from apps.store.calls import close_call
from apps.store.database import Database
from apps.voice.doors.base import Door

FAREWELL_S = 10.0
"""So long a door may take for each of the last two things: being told of the end, and closing."""

log = structlog.get_logger(__name__)


async def settle(
    call: LiveCall, door: Door, reason: EndReason, router: PolicyRouter, db: Database
) -> None:
    """Do what is due once a call has ended.

    Args:
        call: The call.
        door: Where the caller is, or was.
        reason: Why it ended.
        router: Learns from it.
        db: Where it is stored.
    """
    session = call.session
    learned = await _learn(call, reason, router)
    duration_s = round((loop_ms() - session.began_ms) / 1000, 2)
    call.log.note(
        "call.ended",
        reason=reason.value,
        rating=session.rating,
        reward=learned.reward.value if learned and learned.reward else None,
    )
    try:
        await db.run(close_call, session.call_ref, reason=reason.value, duration_s=duration_s)
    except (StoreError, UnknownCall) as error:  # unknown: deleted while it lived
        log.error("call_not_stored", reason=error.message)
    ended: dict[str, Any] = {"reason": reason.value, "duration_s": duration_s}
    if door.capabilities.rates_later and session.unrated:
        ended["rating_token"] = router.rating_token(session)
    await in_time("door_not_told", _tell_the_end(session, door, router, ended))
    await in_time("door_not_closed", door.close(reason.value))


async def _learn(call: LiveCall, reason: EndReason, router: PolicyRouter) -> Learned | None:
    try:
        return await router.settle(call.session, call.facts(reason))
    except Exception:  # a defect in learning: the call must still be stored and hung up
        log.exception("call_not_learned")
        return None


async def _tell_the_end(
    session: CallSession, door: Door, router: PolicyRouter, ended: Mapping[str, Any]
) -> None:
    if door.capabilities.observe:
        await _tell_reward(session, door, router)
    await door.tell("call.ended", ended)


async def _tell_reward(session: CallSession, door: Door, router: PolicyRouter) -> None:
    learned = session.learned
    reward = learned.reward if learned else None
    try:
        outlook = await router.selector.outlook()
    except StoreError as error:
        log.error("outlook_unknown", reason=error.message)
        return
    told: dict[str, Any] = {
        "value": reward.value if reward else None,
        "components": dict(reward.components) if reward else {},
        "missing": list(reward.missing) if reward else [],
        "probabilities": dict(outlook.probabilities),
        "learned": learned is not None and learned.learns,
    }
    if learned and learned.held:
        told["held"] = learned.held
    await door.tell("reward", told)


async def in_time(otherwise: str, farewell: Coroutine[Any, Any, None]) -> None:
    """Do what the caller's side is to notice, unless it fails or jams, which is logged."""
    try:
        async with asyncio.timeout(FAREWELL_S):
            await farewell
    except Exception as error:
        log.warning(otherwise, error=type(error).__name__)


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do work to its end, however often its caller is cancelled meanwhile.

    Raises:
        CancelledError: The caller was; the work is done all the same.
    """
    task = asyncio.create_task(work, name="settle")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
