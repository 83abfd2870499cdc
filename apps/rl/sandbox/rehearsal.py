"""Holds simulated calls on a real store, in virtual time.

What chooses, judges, stores and learns is what live calls run: ``PolicySelector.decide``,
``Settler`` and the guard's fold. Only the shell differs: several calls share one transaction, and
nobody waits. A call learns from every call that has ended when it begins.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf

from sqlalchemy import Connection, func, select

from apps.rl.abuse import Limits
from apps.rl.deploy_guard import DeployGuard
from apps.rl.sandbox.facts import feedback_of, known_before
from apps.rl.sandbox.tally import Tally
from apps.rl.selector import PolicySelector
from apps.rl.settle import CallFeedback, Learned
from apps.rl.simulator import Calls, World
from apps.rl.simulator.outcomes import CallOutcome
from apps.store.deployment import append_act
from apps.store.learning_tables import decisions

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The simulated world's first midnight."""

BATCH = 50
"""So many calls share one write transaction."""


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    """Something that a call will tell: its end, or a late rating.

    Attributes:
        at_s: When, in seconds from the first midnight.
        order: Decides between two of the same moment.
        call_ref: Which call.
        feedback: Its end; None for a late rating.
        rating: The late rating.
        after_s: Seconds from the call's end to it.
    """

    at_s: float
    order: int
    call_ref: str
    feedback: CallFeedback | None = None
    rating: int = 0
    after_s: float = 0.0


class Rehearsal:
    """Simulated calls on one store; a store that holds some already goes on after them.

    Args:
        guard: The deploy guard, with its bandit and the sandbox's store.
        world: Who calls; its variants are those that may serve.
        seed: The world's; together with the scenario's name it begins the calls' ids.
        limits: What is too much of one caller.
        reward_window_s: A rating that comes later than this does not count.
    """

    def __init__(
        self,
        guard: DeployGuard,
        world: World,
        seed: int,
        *,
        limits: Limits | None = None,
        reward_window_s: float = 86_400.0,
    ) -> None:
        self._guard, self._db, self._world = guard, guard.bandit.db, world
        self._name, self._window_s = f"{world.scenario.name}-{seed}", reward_window_s
        self._selector = PolicySelector(guard, limits=limits, clock=self._now)
        self._due: list[_Due] = []
        self._at_s = 0.0
        self._order = 0
        self.tally = Tally()

    def hold(self, calls: int) -> Iterator[int]:
        """Hold so many further calls, and yield how many each transaction has held.

        Raises:
            StoreError: The store refuses.
        """
        with self._db.reading() as conn:
            held_before = held_calls(conn, self._name)
        if held_before:
            self._world.calls(held_before)
        for begin in range(0, calls, BATCH):
            portion = self._world.calls(min(BATCH, calls - begin))
            with self._db.transaction() as conn:
                self._portion(conn, portion)
            yield len(portion)
        with self._db.transaction() as conn:
            self._deliver(conn, inf)
        self._guard.save()

    def _portion(self, conn: Connection, calls: Calls) -> None:
        outcomes, means = self._world.outcomes(calls), self._world.means.at(calls)
        for i in range(len(calls)):
            begins_s = float(calls.at_s[i])
            self._deliver(conn, begins_s)
            self._at_s = begins_s
            call_ref = f"{self._name}-{calls.index[i]}"
            context = calls.context(self._world.scenario, i)
            subject = f"{self._name}-caller-{calls.subject[i]}"
            chosen, _ = self._selector.decide(conn, call_ref, known_before(context), subject)
            number = self._world.ids.index(chosen.variant)
            outcome = outcomes.of(i, number)
            self._expect(call_ref, begins_s, outcome, feedback_of(outcome, context))
            if not calls.hidden.bot[i]:
                self.tally.add(chosen.variant, float(means[i, number]), float(means[i].max()))

    def _expect(
        self, call_ref: str, begins_s: float, outcome: CallOutcome, feedback: CallFeedback
    ) -> None:
        ends_s = begins_s + feedback.facts.duration_s
        self._push(_Due(ends_s, self._order, call_ref, feedback))
        stars, after_s = outcome.signals.user_rating, outcome.rating_delay_s
        if stars is not None and not outcome.abandoned and 0.0 < after_s <= self._window_s:
            late = _Due(ends_s + after_s, self._order, call_ref, rating=stars, after_s=after_s)
            self._push(late)

    def _push(self, due: _Due) -> None:
        heapq.heappush(self._due, due)
        self._order += 1

    def _deliver(self, conn: Connection, until_s: float) -> None:
        while self._due and self._due[0].at_s <= until_s:
            due = heapq.heappop(self._due)
            self._at_s = due.at_s
            self._count(self._settle(conn, due))
            self._fold(conn)

    def _settle(self, conn: Connection, due: _Due) -> Learned:
        settler = self._selector.settler
        if due.feedback is not None:
            return settler.end(conn, due.call_ref, due.feedback)
        return settler.rate(conn, due.call_ref, due.rating, due.after_s)

    def _count(self, learned: Learned) -> None:
        if learned.held is not None:
            self.tally.held[learned.held] += 1

    def _fold(self, conn: Connection) -> None:
        self._guard.refresh(conn)
        pending = self._guard.state.pending
        for act in pending:
            if append_act(conn, replace(act, at_hour=self._now())):
                self.tally.acts[act.action] += 1
        if pending:
            self._guard.refresh(conn)

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._at_s)


def held_calls(conn: Connection, name: str) -> int:
    """Return how many calls of one scenario and seed a store holds."""
    mine = decisions.c.call_ref.startswith(f"{name}-", autoescape=True)
    return conn.execute(select(func.count()).select_from(decisions).where(mine)).scalar_one()
