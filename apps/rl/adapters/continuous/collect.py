"""Brings rated turns into the pool: a thin shell around the store and the pure parts beside it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from hashlib import sha256

import structlog
from sqlalchemy import Connection

from apps.core.errors import DetectorUnavailable, StoreError
from apps.rl.adapters.continuous.screen import Screen, State
from apps.rl.adapters.continuous.turns import Turn, answered_turns, importance_of
from apps.rl.adapters.examples import Message, TrainingExample
from apps.store.calls import CallOrigin, CallRow, load_call, load_events
from apps.store.consents import standing_of
from apps.store.database import Database
from apps.store.feedback import FeedbackKind, FeedbackRow, feedback_since
from apps.store.training_pool import (
    PoolRow,
    put_into_pool,
    read_cursor,
    rescore,
    subjects_in_pool,
    take_out,
    write_cursor,
)

log = structlog.get_logger(__name__)

TRAINING = "training"
"""The purpose of a consent to be learned from."""
AT_ONCE = 200
"""Feedback events of one step."""

PromptOf = Callable[[Turn, CallRow], Awaitable[tuple[Message, ...] | None]]
"""Returns the prompt that a turn's answer was made from; None where it cannot be made again."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of the feedback since the last time.

    Attributes:
        events: Feedback events that were looked at.
        ready: Examples that may be trained on.
        review: Examples that wait for a person.
        left_out: Calls and turns that stay out, by why.
    """

    events: int = 0
    ready: int = 0
    review: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class Collector:
    """Brings rated turns into the pool.

    Args:
        db: The store.
        screen: Decides what may enter.
        prompt_of: Makes a turn's prompt again.
        needs_consent: Whether a caller must have agreed to training; who is nobody's subject then
            stays out.
        threads: Where examples are screened; the loop's own threads when None.
    """

    def __init__(
        self,
        db: Database,
        screen: Screen,
        prompt_of: PromptOf,
        *,
        needs_consent: bool = True,
        threads: Executor | None = None,
    ) -> None:
        self._db, self._screen, self._prompt_of = db, screen, prompt_of
        self._needs_consent, self._threads = needs_consent, threads

    async def collect(self) -> Collected:
        """Look at all feedback since the last time; who no longer agrees leaves the pool first.

        A kill in between costs nothing: what was seen is noted with what was put in.

        Raises:
            StoreError: The store cannot be read or written.
            DetectorUnavailable: Nobody can look for personal data now; what was not looked at
                is collected the next time.
        """
        if self._needs_consent:
            await self._db.run(_take_out_withdrawn)
        found = Collected()
        while True:
            events = await self._db.query(_unseen)
            if not events:
                return found
            rows: list[PoolRow] = []
            for done, event in enumerate(events):
                try:
                    rows += await self._of(event, found.left_out)
                except DetectorUnavailable as error:
                    waiting = len(events) - done
                    log.warning("collecting_stopped", code=error.code, waiting=waiting)
                    if done:
                        await self._db.run(_put, rows, events[:done])
                    raise
            await self._db.run(_put, rows, events)
            found = Collected(
                found.events + len(events),
                found.ready + sum(row.state == State.READY for row in rows),
                found.review + sum(row.state == State.REVIEW for row in rows),
                found.left_out,
            )

    async def _of(self, event: FeedbackRow, left_out: Counter[str]) -> list[PoolRow]:
        """Return a call's examples."""
        ref, reward = event.call_ref, event.reward
        if event.kind is not FeedbackKind.FEEDBACK or ref is None or reward is None:
            return []
        call = await self._db.query(load_call, ref)
        why = await self._why_not(event, call)
        if why or call is None:
            left_out[why or "The call is gone."] += 1
            return []
        turns = answered_turns(await self._db.query(load_events, ref))
        rows = []
        for turn in turns:
            messages = await self._prompt_of(turn, call)
            if messages is None:
                left_out["Its prompt cannot be made again."] += 1
                continue
            example = TrainingExample(
                messages=messages,
                completion=turn.answer,
                feedback_score=reward,
                importance=importance_of(len(turns), rated=event.rating is not None),
                domain=call.profile,
                language=call.language,
                calls=(ref,),
            )
            # In a thread: a detector of names may take its time.
            loop = asyncio.get_running_loop()
            row = await loop.run_in_executor(self._threads, self._screened, example, turn, call)
            if row.state == State.REJECTED:
                left_out[row.why] += 1
            rows.append(row)
        return rows

    async def _why_not(self, event: FeedbackRow, call: CallRow | None) -> str:
        """Return why a call may not be learned from; empty when it may."""
        if call is None:
            return "The call is gone."
        if call.origin is not CallOrigin.CALLER:
            return "It was a trial."
        if event.held or not event.learns:
            return "Its feedback is held."
        if event.flags:
            return "Something went wrong in it."
        if not self._needs_consent:
            return ""
        if call.subject is None:
            return "Nobody could agree to it."
        stands = await self._db.query(standing_of, call.subject, TRAINING, tenant=call.tenant)
        return "" if stands.consent is not None else "The caller did not agree to it."

    def _screened(self, example: TrainingExample, turn: Turn, call: CallRow) -> PoolRow:
        found = self._screen(example)
        said = {} if found.example is None else found.example.model_dump(mode="json")
        name = sha256(f"{call.call_ref}\0{turn.turn_id}".encode()).hexdigest()[:32]
        return PoolRow(
            name, call.call_ref, call.profile, said, found.state.value, found.why, None, call.tenant
        )


def _take_out_withdrawn(conn: Connection) -> None:
    """Take the turns out whose callers have taken their consent back, those in batches too."""
    agrees: dict[tuple[str, str], bool] = {}
    for ref, subject, tenant in subjects_in_pool(conn):
        if subject is None:
            take_out(conn, ref)
            continue
        if (subject, tenant) not in agrees:
            stands = standing_of(conn, subject, TRAINING, tenant=tenant)
            agrees[subject, tenant] = stands.consent is not None
        if not agrees[subject, tenant]:
            take_out(conn, ref)


def _unseen(conn: Connection) -> list[FeedbackRow]:
    return feedback_since(conn, read_cursor(conn), limit=AT_ONCE)


def _put(conn: Connection, rows: list[PoolRow], events: list[FeedbackRow]) -> None:
    """Put examples in, take late ratings over, and note what was seen: all or nothing."""
    kept = [row for row in rows if load_call(conn, row.call_ref) is not None]
    put_into_pool(conn, kept)
    for event in events:
        late = event.kind is FeedbackKind.REVISION and event.reward is not None
        if late and event.call_ref is not None and not event.held:
            rescore(conn, event.call_ref, float(event.reward or 0.0))
    if events[-1].seq <= read_cursor(conn):
        raise StoreError("Another process collects at the same time.", code="collected_twice")
    write_cursor(conn, events[-1].seq)
