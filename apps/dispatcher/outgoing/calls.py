"""All outgoing calls of one process: decided, dialled, screened, held, tried again, and noted.

What may be dialled, and when again, is decided in `decide.py`; who picked up, in
`apps/voice/answering_machine.py`. Every attempt is stored with its decision before it is dialled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import structlog

from apps.core.errors import AtCapacity, DialFailed, TomError, UnknownCall
from apps.dispatcher.outgoing.decide import (
    Dial,
    OutgoingRequest,
    Refuse,
    Rules,
    decide,
    retry_at,
)
from apps.dispatcher.outgoing.ledger import DOOR, Ledger
from apps.dispatcher.outgoing.pickup import MachinePolicy, Pickup
from apps.dispatcher.outgoing.status import CallStatus, Entry, OutgoingCall, Refused
from apps.dispatcher.switchboard import Switchboard
from apps.store.outgoing import DIALLED
from apps.voice.answering_machine import ScreenOptions
from apps.voice.doors.base import Dialer

KEPT = 1000
"""So many calls are remembered; of older ones that are over the store knows the attempts."""

log = structlog.get_logger(__name__)


class OutgoingCalls:
    """The outgoing calls of one process; use as ``async with``.

    Args:
        switchboard: Holds the calls once somebody has picked up.
        dialers: The ways out by name, the preferred one first.
        rules: What the operator has set.
        machines: What is done where a machine picks up.
        caller_id: The number that callees see; empty for the dialer's own.
        ring_s: So long it may ring.
        screening: How people and machines are told apart.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        dialers: Mapping[str, Dialer],
        rules: Rules,
        *,
        machines: MachinePolicy = "hangup",
        caller_id: str = "",
        ring_s: float = 30.0,
        screening: ScreenOptions | None = None,
    ) -> None:
        self._switchboard, self._dialers, self._rules = switchboard, dialers, rules
        self._caller_id, self._ring_s = caller_id, ring_s
        self._services = switchboard.services
        self._ledger = Ledger(switchboard, list(dialers))
        self._pickup = Pickup(switchboard, self._ledger, machines, screening or ScreenOptions())
        self._calls: OrderedDict[str, OutgoingCall] = OrderedDict()
        self._deciding = asyncio.Lock()
        switchboard.on_drain.append(self.drain)

    async def __aenter__(self) -> OutgoingCalls:
        """Begin without any call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every call."""
        tasks = [call.task for call in self._calls.values() if call.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what an operator does

    async def place(self, request: OutgoingRequest, key: str = "") -> CallStatus:
        """Decide about a call and begin it.

        Args:
            request: The call.
            key: An idempotency key: a call that was dialled under it already is not made again.

        Raises:
            Refused: It may not be made, or not now.
            StoreError: What is known of the callee cannot be read; nobody is called then.
            TomError: The key belongs to another call (``key_reused``).
        """
        derived = self._services.router.call_ref(f"key\0{key}")[:16]
        call_id = "out_" + (derived if key else secrets.token_hex(8))
        async with self._deciding:
            if key and (known := await self._known(call_id, request)) is not None:
                return known
            entry = self._ledger.entry(call_id, request)
            number = len(await self._ledger.attempts(call_id)) + 1
            decision = await self._decide(request, entry, number)
            if isinstance(decision, Refuse):
                raise Refused(decision)
            call = OutgoingCall(request, CallStatus(call_id), entry, decision)
            self._calls[call_id] = call
            self._forget_old()
            call.task = asyncio.create_task(self._run(call, number), name="outgoing call")
        return call.status

    async def status(self, call_id: str) -> CallStatus:
        """Return where a call stands.

        Raises:
            UnknownCall: There is no such call.
        """
        if (call := self._calls.get(call_id)) is not None:
            return call.status
        dialled = [a for a in await self._ledger.attempts(call_id) if a.decision == DIALLED]
        if not dialled:
            raise UnknownCall("There is no such outgoing call.")
        result = dialled[-1].result or "interrupted"
        return CallStatus(call_id, "ended", attempt=len(dialled), result=result)

    async def cancel(self, call_id: str) -> CallStatus:
        """End a call: one that rings stops ringing, one that is held says goodbye first.

        Raises:
            UnknownCall: There is no such call.
        """
        status = await self.status(call_id)
        call = self._calls.get(call_id)
        if call is not None and call.task is not None:
            if status.state == "live":
                self._switchboard.close(call.live)
            elif not call.over:
                call.task.cancel()
                await asyncio.wait([call.task])
        return status

    def drain(self) -> None:
        """Stop what rings or waits to be tried again; calls that were picked up go on."""
        for call in self._calls.values():
            if call.task is not None and call.status.state in ("dialling", "waiting"):
                call.task.cancel()

    # --- one call

    async def _run(self, call: OutgoingCall, number: int) -> None:
        """Make one call, with its further attempts, to its end."""
        result = "failed"
        try:
            while True:
                result = await self._attempt(call, number)
                now = self._services.clock()
                again = retry_at(result, call.status.attempt, self._rules, now)
                if again is None:
                    return
                call.status.wait(result, again)
                await asyncio.sleep((again - now).total_seconds())
                number += 1
                async with self._deciding:
                    decision = await self._decide(call.request, call.entry, number, call)
                if isinstance(decision, Refuse):
                    return
                call.dial = decision
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        except Exception:
            result = "failed"
            log.exception("outgoing_call_crashed")
        finally:
            call.status.end(result)

    async def _attempt(self, call: OutgoingCall, number: int) -> str:
        """Dial once and stay with what comes of it; returns its result."""
        call.status.dial()
        call.live, result = "", "failed"
        try:
            with self._switchboard.reserve(DOOR) as line:
                door = await self._dialers[call.dial.via].dial(
                    call.dial.target, caller_id=self._caller_id, timeout_s=self._ring_s
                )
                result = await self._pickup.answered(call, door, line)
        except DialFailed as error:
            log.info("dial_failed", via=call.dial.via, code=error.code, reason=error.message)
            result = error.code
        except AtCapacity:
            result = "no_line"
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            await self._ledger.end(call.entry, number, result, call.live)
        return result

    # --- deciding

    async def _decide(
        self, request: OutgoingRequest, entry: Entry, number: int, mine: OutgoingCall | None = None
    ) -> Dial | Refuse:
        """Decide about an attempt, and note the decision."""
        now = self._services.clock()
        others = [c for c in self._calls.values() if c is not mine and not c.over]
        calling = any(other.entry.subject == entry.subject for other in others)
        facts = await self._ledger.facts(request, entry, now, on_the_line=calling)
        decision = decide(request, facts, self._rules, now)
        await self._ledger.note(request, entry, number, decision, now)
        return decision

    async def _known(self, call_id: str, request: OutgoingRequest) -> CallStatus | None:
        """Return the call that was dialled under a key already; None when there was none."""
        call = self._calls.get(call_id)
        dialled = [a for a in await self._ledger.attempts(call_id) if a.decision == DIALLED]
        subject = self._ledger.entry(call_id, request).subject
        another = any(attempt.subject != subject for attempt in dialled)
        if another or (call is not None and call.request != request):
            raise TomError(
                "This idempotency key belongs to another call.",
                hint="Take a new key for a new call.",
                code="key_reused",
            )
        return await self.status(call_id) if call is not None or dialled else None

    def _forget_old(self) -> None:
        over = [call_id for call_id, call in self._calls.items() if call.over]
        for call_id in over[: max(0, len(self._calls) - KEPT)]:
            del self._calls[call_id]
