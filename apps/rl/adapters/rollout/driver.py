"""Carries out what the roll-outs' machine asks for: the shell around it, run by every server.

A round reads where the adapters stand, brings the language server to what it should have loaded,
and does what is due in each state. Rounds may be repeated, missed, or done by several processes at
once: what happens is stored with its running number, so the same step is taken once, and all that
is done can be done again. Nothing is remembered from round to round that matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import Connection

from apps.core.errors import EngineError, EngineUnavailable, IllegalEvent, TomError
from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout import arms
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.adapters.rollout.keeper import Keeper
from apps.rl.adapters.rollout.machine import Effect, Happening, Rollout, What, due
from apps.rl.adapters.rollout.monitor import IN_CANARY, DriftRules, Signal, Watch
from apps.rl.adapters.rollout.pairs import beside
from apps.rl.adapters.rollout.server import LoraServer
from apps.rl.adapters.rollout.watching import Watches
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.explain import reason
from apps.rl.guard.stages import Stage
from apps.store.adapter_calls import adapter_calls_since
from apps.store.adapters import registry_version

CALLS_A_ROUND = 2000
"""So many ended calls are looked at in one round."""

log = structlog.get_logger(__name__)


class RolloutObserver(Protocol):
    """Is told what happens; the metrics are one."""

    def adapter_stepped(self, what: str) -> None:
        """Something happened to an adapter: one of ``What``."""

    def adapters(self, counts: Mapping[str, int], *, loaded: int) -> None:
        """How many adapters are in each state, and how many the server has loaded."""


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How roll-outs are driven.

    Attributes:
        most_loaded: Adapters that the server has loaded at once.
        every_s: Seconds between two rounds.
        served_root: The adapters' folder as the server sees it; None where it is the same.
        drift: How sure one must be that an adapter is worse.
    """

    most_loaded: int = 4
    every_s: float = 5.0
    served_root: Path | None = None
    drift: DriftRules = field(default_factory=DriftRules)


class RolloutDriver:
    """Drives all roll-outs, as far as one process sees.

    Args:
        registry: The adapters.
        guard: The deploy guard, whose arms they are.
        desk: Told what is loaded, for the next calls.
        server: The language server that serves them.
        probe: Asks an adapter something; returns what is wrong with its answer, empty when it is
            sound. It raises EngineUnavailable where the server cannot be reached.
        live: The adapters of this process's calls.
        options: How roll-outs are driven.
        observer: Is told what happens; may be None.
    """

    def __init__(
        self,
        registry: AdapterRegistry,
        guard: DeployGuard,
        desk: AdapterDesk,
        server: LoraServer,
        probe: Callable[[str], Awaitable[str]],
        *,
        live: Callable[[], Collection[str]] = tuple,
        options: RolloutOptions | None = None,
        observer: RolloutObserver | None = None,
    ) -> None:
        self._registry, self._guard, self._probe = registry, guard, probe
        self._options, self._observer = options or RolloutOptions(), observer
        self._db = registry.db
        self._watches = Watches(guard.rules.base_variant)
        self._known, self._version = Registered(), (-1, -1)
        options = self._options
        self._keeper = Keeper(
            registry, desk, server, live, most=options.most_loaded, root=options.served_root
        )

    async def run(self) -> None:
        """Do a round, again and again, for as long as the server runs."""
        while True:
            try:
                await self.round()
            except TomError as error:
                log.error("rollout_round_failed", code=error.code, reason=error.message)
            except Exception as error:  # a defect must not end all roll-outs for good
                log.error("rollout_crashed", error=type(error).__name__, exc_info=error)
            await asyncio.sleep(self._options.every_s)

    async def round(self) -> None:
        """Bring the server to what it should have, and do what is due.

        Raises:
            StoreError: The store cannot be used.
        """
        known = await self._newest()
        loaded, refused = await self._keeper.reconciled(known)
        for record, why in refused:
            await self._happen(record, known.rollouts[record.id], What.REFUSED, why)
        watches = await self._watched(known)
        await self._db.query(self._guard.refresh)
        for name, rollout in known.rollouts.items():
            record = known.records[name]
            for effect in due(rollout):
                if await self._done(effect, record, rollout, loaded, watches.get(name), known):
                    break  # it stands elsewhere now: what is due there is due next time
        await self._tell(loaded)

    async def _newest(self) -> Registered:
        """Return the registry as it is now; it is folded anew only when something is new."""
        version = await self._db.query(registry_version)
        if version != self._version:
            # In a thread, for no call's audio shall wait for signatures to be checked.
            self._known = await asyncio.to_thread(self._registry.known)
            self._version = version
        return self._known

    async def _tell(self, loaded: Collection[str]) -> None:
        if self._observer is not None:
            known = await self._newest()
            states = [record.state for record in known.records.values()]
            counts = {state.value: states.count(state) for state in AdapterState}
            self._observer.adapters(counts, loaded=len(loaded))

    async def _watched(self, known: Registered) -> Mapping[str, Watch]:
        since = self._watches.since(known)
        if since is None:
            return {}
        return await asyncio.to_thread(self._looked, known, since)

    def _looked(self, known: Registered, since: int) -> Mapping[str, Watch]:
        """Read some further calls and fold them; what is left is read in the next rounds."""
        with self._db.reading() as conn:
            rows = adapter_calls_since(conn, since, limit=CALLS_A_ROUND)
        return self._watches.take(known, rows)

    async def _done(
        self,
        effect: Effect,
        record: AdapterRecord,
        rollout: Rollout,
        loaded: Collection[str],
        watch: Watch | None,
        known: Registered,
    ) -> bool:
        """Carry out one effect; returns whether the adapter stands elsewhere by it."""
        match effect:
            case Effect.LOAD:
                if rollout.state is AdapterState.LOADING and record.served in loaded:
                    return await self._happen(record, rollout, What.LOADED, "The server serves it.")
            case Effect.SMOKE_TEST if record.served in loaded:
                return await self._smoke_tested(record, rollout)
            case Effect.OFFER_SHADOW if record.served in loaded:
                return await self._offered(record, rollout, Stage.SHADOW)
            case Effect.OFFER_CALLS:
                if watch is not None and (why := watch.drift(IN_CANARY, self._options.drift)):
                    return await self._happen(record, rollout, What.DRIFTED, why)
                return await self._offered(record, rollout, Stage.NEW)
            case Effect.ROUTE:
                return await self._routed(record, rollout, watch, known)
            case Effect.WITHDRAW:
                return await self._withdrawn(record, rollout)
            case Effect.UNLOAD if self._keeper.reached:
                return await self._unloaded(record, rollout)
        return False

    async def _smoke_tested(self, record: AdapterRecord, rollout: Rollout) -> bool:
        try:
            wrong = await self._probe(record.served)
        except EngineUnavailable:
            return False
        except EngineError as error:
            wrong = error.message
        if wrong:
            return await self._happen(record, rollout, What.SPOILED, wrong)
        return await self._happen(record, rollout, What.ANSWERED, "A first answer was sound.")

    async def _offered(self, record: AdapterRecord, rollout: Rollout, to: Stage) -> bool:
        """Take the arm to a stage, once, and see what the guard makes of it."""
        if await self._db.run(arms.offer, self._guard, record, rollout, to):
            await self._db.query(self._guard.refresh)
        stage = self._guard.state.stages.get(record.served)
        if stage in arms.STOPPED:
            why = reason(record.served, self._guard.state, self._guard.rules)
            return await self._happen(record, rollout, What.STOPPED, why)
        if to is Stage.SHADOW and stage is Stage.SHADOW:
            gate = await asyncio.to_thread(self._guard.gate, record.served)
            if not gate.missing:
                why = "The deploy guard's gate is open: it answered well enough in the shadow."
                return await self._happen(record, rollout, What.GATE_OPEN, why)
        if to is Stage.NEW and stage is Stage.ESTABLISHED:
            return await self._established(record, rollout)
        return False

    async def _established(self, record: AdapterRecord, rollout: Rollout) -> bool:
        """Switch the route, once the arm is not only surely good enough but looks better."""
        rules = self._guard.rules
        low, high = self._guard.state.ledger.contests.difference(record.served, rules.family_error)
        if low + high < 0.0:
            return False
        why = (
            f"It is surely not worse than {rules.base_variant} by more than {rules.margin}: its "
            f"mean reward differs by {low:+.2f} to {high:+.2f}."
        )

        def switched(conn: Connection) -> bool:
            known = self._registry.read(conn)
            happening = Happening(What.ESTABLISHED, why)
            if not self._registry.append(conn, record.id, happening, number=rollout.number + 1):
                return False
            for other in beside(known, record, AdapterState.CANARY):
                beginning = f"what it is held against has changed: {record.id} is on the route."
                arms.restart(conn, other, known.rollouts[other.id], beginning)
            return True

        return await self._stored(What.ESTABLISHED, switched)

    async def _routed(
        self, record: AdapterRecord, rollout: Rollout, watch: Watch | None, known: Registered
    ) -> bool:
        """Take the arm away, which does what the route does, and watch the route."""
        why = f"{record.id} is on the route: every variant has it there."
        if record.served in self._guard.state.stages:
            await self._db.run(arms.withdraw, record, rollout, why)
        if watch is None:
            return False
        if drift := watch.drift(tuple(Signal), self._options.drift):
            return await self._happen(record, rollout, What.DRIFTED, drift)
        before = beside(known, record, AdapterState.STANDBY)
        if before and watch.confirmed(self._options.drift):
            low, high = watch.difference(Signal.REWARD)
            why = f"Its reward differs from {before[-1].id}'s by {low:+.2f} to {high:+.2f}."
            return await self._happen(record, rollout, What.CONFIRMED, why)
        return False

    async def _withdrawn(self, record: AdapterRecord, rollout: Rollout) -> bool:
        """Take the arm away, and see whether some call still has the adapter."""
        if record.served in self._guard.state.stages:
            await self._db.run(arms.withdraw, record, rollout, rollout.why or "It is taken back.")
        if rollout.state is not AdapterState.DRAINING:
            return False
        if await self._keeper.uses(record.served):
            return False
        return await self._happen(record, rollout, What.DRAINED, "No call has it any more.")

    async def _unloaded(self, record: AdapterRecord, rollout: Rollout) -> bool:
        try:
            await self._keeper.unload(record.served)
        except EngineError as error:
            log.warning("adapter_not_unloaded", adapter=record.id, code=error.code)
            return False
        return await self._happen(record, rollout, What.UNLOADED, "The server has let go of it.")

    async def _happen(self, record: AdapterRecord, rollout: Rollout, what: What, why: str) -> bool:
        number = rollout.number + 1

        def stored(conn: Connection) -> bool:
            return self._registry.append(conn, record.id, Happening(what, why), number=number)

        return await self._stored(what, stored)

    async def _stored(self, what: What, store: Callable[[Connection], bool]) -> bool:
        """Store a step; True also when another process was faster: it stands elsewhere then."""
        try:
            if await self._db.run(store):
                if self._observer is not None:
                    self._observer.adapter_stepped(what.value)
                await asyncio.to_thread(self._registry.publish)
        except IllegalEvent as error:  # an operator, or another process, came first
            log.info("adapter_step_overtaken", what=what.value, reason=error.message)
        return True
