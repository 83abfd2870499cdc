"""What is done once somebody has picked up: a person is talked to, a machine as is set."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from apps.dispatcher.call_state import EndReason
from apps.dispatcher.outgoing.ledger import Ledger
from apps.dispatcher.outgoing.message import leave_message
from apps.dispatcher.outgoing.optout import opts_out
from apps.dispatcher.outgoing.screening import ScreenedDoor
from apps.dispatcher.outgoing.status import OutgoingCall
from apps.dispatcher.switchboard import Switchboard
from apps.voice.answering_machine import Callee, ScreenOptions
from apps.voice.doors.base import CallRequest, Door

MachinePolicy = Literal["hangup", "message", "ignore"]
MACHINE_S = 60.0
"""A machine that has neither beeped nor fallen silent by then is given up."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pickup:
    """Holds outgoing calls with those who picked up.

    Args:
        switchboard: Holds the talk.
        ledger: Notes who is not to be called again.
        machines: What is done where a machine picks up.
        screening: How people and machines are told apart.
    """

    switchboard: Switchboard
    ledger: Ledger
    machines: MachinePolicy
    screening: ScreenOptions

    async def answered(self, call: OutgoingCall, door: Door, line: str) -> str:
        """Find out who picked up, and talk to them; returns the result.

        Args:
            call: The call.
            door: Where they are.
            line: The id of the line that is reserved for the talk.
        """
        dial = call.dial
        call.status.state = "answered"
        cares = self.machines != "ignore"
        screened = ScreenedDoor(
            door,
            CallRequest(dial.profile.id, dial.language, dial.target, "outgoing", dial.purpose),
            self.switchboard.services.new_vad(),
            self.screening if cares else None,
            lambda kind, data: self._told(call, kind, data),
        )
        try:
            verdict = await screened.verdict()
            if verdict is None:
                return "hung_up"
            heard_ms, greeting_ms = round(verdict.at_ms), round(verdict.greeting_ms)
            log.info("picked_up", by=verdict.callee.value, at_ms=heard_ms, greeting_ms=greeting_ms)
            if cares and verdict.callee in (Callee.MACHINE, Callee.BEEP):
                return await self._machine(call, screened, verdict.callee)
            return await self._talk(call, screened, line)
        finally:
            with suppress(Exception):  # what the switchboard closed is closed
                await screened.hang_up("over")

    async def _talk(self, call: OutgoingCall, door: ScreenedDoor, line: str) -> str:
        call.status.state, call.live = "live", line
        try:
            await self.switchboard.take(door, line)
        finally:
            if call.status.opted_out:
                await self.ledger.block(call.entry)
        if door.beeped:
            return await self._machine(call, door, Callee.BEEP)
        return "opted_out" if call.status.opted_out else "answered"

    async def _machine(self, call: OutgoingCall, door: ScreenedDoor, callee: Callee) -> str:
        """Leave a machine its message, if it is to have one; returns the result."""
        if self.machines != "message":
            return "machine"
        call.status.state = "leaving_message"
        try:
            async with asyncio.timeout(MACHINE_S):
                if callee is Callee.MACHINE and await door.verdict() is None:
                    return "machine"
        except TimeoutError:
            return "machine"
        options, services = self.switchboard.options(door), self.switchboard.services
        return "message_left" if await leave_message(door, options, services) else "machine"

    def _told(self, call: OutgoingCall, kind: str, data: Mapping[str, Any]) -> None:
        """Follow a call's live events; who does not want to be called again is let go."""
        call.status.told(kind, data)
        from_callee = kind == "transcript.final" and data.get("role") == "caller"
        if from_callee and opts_out(str(data["text"]), call.dial.language):
            call.status.opted_out = True
            self.switchboard.close(call.live, EndReason.OPTED_OUT)
