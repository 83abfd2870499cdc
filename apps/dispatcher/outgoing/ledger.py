"""What is known of a callee when they are to be called, and the note of every decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from apps.core.errors import StoreError
from apps.dispatcher.outgoing.decide import (
    Dial,
    Facts,
    OutgoingRequest,
    Refuse,
    day_start,
    purpose_of,
)
from apps.dispatcher.outgoing.numbers import read_target
from apps.dispatcher.outgoing.status import Entry
from apps.dispatcher.switchboard import Switchboard
from apps.store.consents import ConsentAction, ConsentRow, Standing, record, standing_of
from apps.store.outgoing import (
    DIALLED,
    AttemptRow,
    attempts_at,
    begin_attempt,
    dialled_since,
    end_attempt,
)

DOOR = "outgoing"
"""The name by which lines are reserved and refusals counted."""
OPT_OUT_SOURCE = "said so in a call"

log = structlog.get_logger(__name__)


class Ledger:
    """Reads and keeps what concerns outgoing calls in the store.

    Args:
        switchboard: Has the store, the profiles and the lines.
        dialers: The names of the ways out, the preferred one first.
    """

    def __init__(self, switchboard: Switchboard, dialers: Sequence[str]) -> None:
        self._switchboard, self._dialers = switchboard, tuple(dialers)
        self._db, self._services = switchboard.db, switchboard.services

    def entry(self, call_id: str, request: OutgoingRequest) -> Entry:
        """Return the entry of a call."""
        router = self._services.router
        return Entry(router.call_ref(call_id), router.subject(read_target(request.to) or ""))

    async def attempts(self, call_id: str) -> list[AttemptRow]:
        """Return the attempts at a call, refused ones included."""
        return await self._db.query(attempts_at, self._services.router.call_ref(call_id))

    async def facts(
        self, request: OutgoingRequest, entry: Entry, now: datetime, *, on_the_line: bool
    ) -> Facts:
        """Return what a decision rests on.

        Raises:
            StoreError: It cannot be read; nobody is called then.
        """
        profile = self._services.profiles.get(request.profile or self._switchboard.default_profile)
        standing, dialled = Standing(), 0
        if entry.subject is not None:
            purpose = purpose_of(request, profile)
            standing = await self._db.query(standing_of, entry.subject, purpose)
            today = day_start(request, profile, now)
            dialled = await self._db.query(dialled_since, entry.subject, today)
        return Facts(
            profile,
            self._dialers,
            standing,
            dialled,
            on_the_line=on_the_line,
            room=self._switchboard.has_room(DOOR),
            draining=self._switchboard.draining,
        )

    async def note(
        self,
        request: OutgoingRequest,
        entry: Entry,
        number: int,
        decision: Dial | Refuse,
        now: datetime,
    ) -> None:
        """Store a decision before it is acted upon.

        Raises:
            StoreError: It cannot be; nobody is called then.
        """
        refused = decision.code if isinstance(decision, Refuse) else ""
        said = request if isinstance(decision, Refuse) else decision
        row = AttemptRow(
            entry.ref,
            number,
            entry.subject,
            profile=request.profile[:40] or self._switchboard.default_profile,
            language=said.language[:8],
            purpose=said.purpose[:40],
            via=said.via[:40],
            decision=refused or DIALLED,
            at_hour=now,
        )
        await self._db.run(begin_attempt, row)
        log.info("outgoing_decided", decision=row.decision, attempt=number)
        if refused:
            self._services.metrics.outgoing_attempt(refused)

    async def end(self, entry: Entry, number: int, result: str, live: str) -> None:
        """Note what became of an attempt.

        Args:
            entry: The call.
            number: The attempt.
            result: What became of it.
            live: The id of the call that was held, where there was one.
        """
        self._services.metrics.outgoing_attempt(result)
        log.info("outgoing_ended", result=result, attempt=number)
        ref = self._services.router.call_ref(live) if live else None
        try:
            await self._db.run(end_attempt, entry.ref, number, result=result, call_ref=ref)
        except StoreError as error:
            log.error("attempt_not_stored", reason=error.message)

    async def block(self, entry: Entry) -> None:
        """Put a callee who asked for it on the do-not-call list."""
        log.info("callee_opted_out")
        if entry.subject is None:
            return
        row = ConsentRow(entry.subject, ConsentAction.BLOCKED, source=OPT_OUT_SOURCE)
        try:
            await self._db.run(record, row)
        except StoreError as error:
            log.error("opt_out_not_stored", reason=error.message)
