"""The adapter router: phases, the bandit's memory, and an audit of each decision.

Decisions and rewards are append-only rows of the store; what the bandit knows is their fold.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.core.errors import EngineError, InvalidFeedback
from apps.rl.adapters.routing.audit import AuditLog
from apps.rl.adapters.routing.decide import (
    BASE,
    Phase,
    Route,
    RoutingRules,
    blended,
    by_both,
    by_heuristics,
)
from apps.rl.adapters.routing.domains import GoldenPrompt, Routes
from apps.rl.adapters.routing.heuristics import by_keywords
from apps.rl.adapters.routing.likeness import Vectors, by_likeness
from apps.rl.policies import NigPolicy, Outcome
from apps.store.adapter_routes import RouteRow, append_reward, append_route, learned_rewards
from apps.store.database import Database

Embed = Callable[[Sequence[str]], Awaitable[Vectors]]


class RouteObserver(Protocol):
    """Told of each decision, for the metrics."""

    def adapter_routed(self, phase: str, domain: str, confidence: float, seconds: float) -> None:
        """Count a decision."""
        ...


@dataclass(frozen=True, slots=True)
class Routed:
    """A decision that may be rewarded later.

    Attributes:
        decision_id: Names it in ``reward``.
        route: The decision.
        adapter: The served name that answers; empty for the base model.
    """

    decision_id: str
    route: Route
    adapter: str


class AdapterRouter:
    """Routes prompts to adapters.

    Args:
        routes: The domains.
        db: Where decisions and rewards are kept.
        embed: Makes vectors of texts.
        active: Returns the served name of a domain's active adapter, or an empty one; may read
            the store, so it is called in a thread.
        audit: Gets a line for each decision and reward.
        rules: When a route is sure.
        observer: For the metrics; may be None.
        clock: Seconds, monotonic.
        rng: Source of randomness.
        threads: Where the audit log is written; the loop's own threads when None.
    """

    def __init__(
        self,
        routes: Routes,
        db: Database,
        *,
        embed: Embed,
        active: Callable[[str], str],
        audit: AuditLog,
        clock: Callable[[], float],
        rules: RoutingRules | None = None,
        observer: RouteObserver | None = None,
        rng: np.random.Generator | None = None,
        threads: Executor | None = None,
    ) -> None:
        self._routes, self._db, self._embed, self._active = routes, db, embed, active
        self._audit, self._clock, self._observer = audit, clock, observer
        self._rules, self._rng = rules or RoutingRules(), rng or np.random.default_rng()
        self._examples: Mapping[str, Vectors] | None = None
        self._policy, self._seen = NigPolicy(), 0
        self._threads = threads

    async def decide(self, prompt: str) -> Route:
        """Return a prompt's route; nothing is kept of it."""
        keywords = by_keywords(prompt, self._routes.domains)
        sure = by_heuristics(keywords, self._rules)
        if sure is not None:
            return sure
        scores = blended(keywords, await self._likeness(prompt))
        await self._catch_up()
        return by_both(scores, self._rules, self._chances, float(self._rng.random()))

    async def route(self, prompt: str) -> Routed:
        """Decide a prompt's route, and keep the decision before anything acts on it.

        Raises:
            StoreError: It cannot be kept.
        """
        began = self._clock()
        route = await self.decide(prompt)
        adapter = (
            "" if route.domain == BASE else await asyncio.to_thread(self._active, route.domain)
        )
        routed = Routed(secrets.token_hex(16), route, adapter)
        row = RouteRow(
            routed.decision_id,
            route.domain,
            adapter,
            route.phase.value,
            route.confidence,
            route.propensity,
            dict(route.scores),
        )
        await self._db.join(append_route, row)
        seconds = self._clock() - began
        if self._observer is not None:
            self._observer.adapter_routed(
                route.phase.value, route.domain, route.confidence, seconds
            )
        told = {**_told(routed), "ms": round(1000 * seconds, 2)}
        # In a thread: what takes personal data out may take its time.
        audited = partial(self._audit.append, "route", prompt, **told)
        await asyncio.get_running_loop().run_in_executor(self._threads, audited)
        return routed

    async def reward(self, decision_id: str, reward: float) -> bool:
        """Take the reward of a decision, in [-1, 1]; the first one counts.

        Returns:
            False when it had one already.

        Raises:
            InvalidFeedback: There is no such decision, or the reward is out of range.
        """
        if not -1.0 <= reward <= 1.0:
            raise InvalidFeedback(f"A reward is between -1 and 1, not {reward}.")
        found = await self._db.join(append_reward, decision_id, reward)
        if found is None:
            raise InvalidFeedback(
                "There is no such routing decision.",
                hint="Send the decision_id that /route or /generate returned.",
            )
        if found:
            self._audit.append("reward", decision_id=decision_id, reward=reward)
        return found

    def estimates(self) -> dict[str, tuple[float, int]]:
        """Return the bandit's mean reward and number of rewards, by domain; for operators."""
        names = [*self._routes.domains, BASE]
        return {
            n: (round(self._policy.estimate(n).mean, 4), round(self._policy.seen(n).weight))
            for n in names
        }

    def _chances(self, names: Sequence[str], /) -> NDArray[np.float64]:
        return self._policy.chances(names, {})

    async def _likeness(self, prompt: str) -> dict[str, float]:
        """Return the second phase's scores; none where no vectors are to be had."""
        try:
            if self._examples is None:
                self._examples = {
                    name: await self._embed(domain.examples)
                    for name, domain in self._routes.domains.items()
                    if domain.examples
                }
            vector = (await self._embed([prompt]))[0]
        except EngineError as error:
            self._audit.append("likeness_failed", code=error.code)
            return {}
        return by_likeness(vector, self._examples)

    async def _catch_up(self) -> None:
        """Learn the rewards that came since, from this process or another one."""
        for seq, domain, reward in await self._db.query(learned_rewards, self._seen):
            if seq > self._seen:  # another prompt may have caught up while this one waited
                self._policy = self._policy.learned(Outcome(domain, reward))
                self._seen = seq


def _told(routed: Routed) -> dict[str, object]:
    route = routed.route
    return {
        "decision_id": routed.decision_id,
        "domain": route.domain,
        "adapter": routed.adapter or BASE,
        "phase": route.phase.value,
        "confidence": round(route.confidence, 4),
        "propensity": round(route.propensity, 4),
    }


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How one golden prompt was routed."""

    golden: GoldenPrompt
    route: Route

    @property
    def open(self) -> bool:
        """Tell whether it lies in the grey zone, where the bandit decides anew each time."""
        return self.route.phase is Phase.BANDIT

    @property
    def right(self) -> bool:
        """Tell whether it surely goes where it must."""
        return not self.open and self.route.domain == (self.golden.domain or BASE)


async def check_golden(router: AdapterRouter, golden: Sequence[GoldenPrompt]) -> list[GoldenResult]:
    """Return how each golden prompt is routed now; nothing is kept of it."""
    return [GoldenResult(each, await router.decide(each.prompt)) for each in golden]
