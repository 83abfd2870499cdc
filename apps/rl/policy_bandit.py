"""The bandit over prompt variants: seed 004's API around a policy (apps/rl/policies).

The feedback store is the truth; the bandit's state is a fold of it, kept in memory and as a JSON
snapshot. Several processes share one store: each adds events to it and catches up from the last
event that it has folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from uuid import uuid4

import numpy as np
import structlog
from sqlalchemy import Connection

from apps.core.errors import ConfigError, InvalidFeedback
from apps.rl import defaults
from apps.rl.policies import Policy, Slots
from apps.rl.posterior import Arm, BanditState, fold
from apps.rl.snapshot import read_snapshot, write_snapshot
from apps.rl.variants import Catalog, PolicyVariant, Prior
from apps.store.database import Database
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    append_feedback,
    feedback_since,
    last_feedback_seq,
    store_id,
)

__all__ = ["PolicyBandit", "PolicyVariant", "VariantStatistics", "update_policy_reward"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VariantStatistics:
    """What the bandit knows of one variant.

    Attributes:
        pulls: Rewards that counted.
        alpha: First parameter of seed 004's Beta posterior, of all rewards alike.
        beta: Its second.
        mean_reward: Mean of the rewards seen, in [-1, 1]; None before the first.
        success_rate: That posterior's mean, in [0, 1].
        interval: The policy's 95 % credible interval of the true mean reward, in [-1, 1].
        probability_best: The policy's probability of choosing it among all variants.
        confident: It has at least ``min_pulls_for_confidence`` pulls.
    """

    pulls: int
    alpha: float
    beta: float
    mean_reward: float | None
    success_rate: float
    interval: tuple[float, float]
    probability_best: float
    confident: bool


class PolicyBandit:
    """Knows the variants, what each one earned, and which to try next.

    Safe to share between threads: its state is replaced, never changed.

    Args:
        db: The feedback store; that of the settings when None.
        catalog: Variants and prior; those of the settings when None.
        policy: How to learn and choose; that of the settings when None.
        state_path: The snapshot; the store's own when None.
        rng: Source of randomness; seed it for runs that can be repeated.
    """

    def __init__(
        self,
        db: Database | None = None,
        *,
        catalog: Catalog | None = None,
        policy: Policy | None = None,
        state_path: Path | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        catalog = catalog or defaults.default_catalog()
        self.db = db or defaults.default_database()
        self.prior: Prior = catalog.prior
        self.rules = catalog.rules
        self.candidates = catalog.candidates
        self.state_path = state_path or defaults.default_state_path(self.db)
        self._variants = dict(catalog.variants)
        self._rng = rng or np.random.default_rng()
        self._unlearned = policy or defaults.default_policy(self.prior)
        self._state = read_snapshot(self.state_path, self._new_policy()) or self._new_state("")
        self.catch_up()

    @property
    def state(self) -> BanditState:
        """Return the fold as far as it is known here."""
        return self._state

    @property
    def variants(self) -> Mapping[str, PolicyVariant]:
        """Return the variants by id."""
        return self._variants

    @property
    def arms(self) -> dict[str, Arm]:
        """Return what was seen of every variant, those without a pull too."""
        return {name: self._state.arm(name) for name in self._variants}

    def chances(
        self, names: Sequence[str], context: Mapping[str, object] | None = None
    ) -> dict[str, float]:
        """Return the probability of each named variant to be chosen by the policy alone.

        They sum to 1; this is what the deploy guard starts from.

        Args:
            names: Those that compete; may be empty.
            context: What is known of the call.
        """
        if not names:
            return {}
        found = self._state.policy.chances(names, context or {})
        return dict(zip(names, found.tolist(), strict=True))

    def add_variant(self, variant: PolicyVariant) -> None:
        """Add a variant, or change one's name and slots; what it earned stays.

        Raises:
            ConfigError: Its slots cannot be used.
        """
        _ = variant.slots
        self._variants = self._variants | {variant.id: variant}
        self._tell_policy()

    def select_variant(self, context: Mapping[str, object] | None = None) -> str:
        """Return the variant with the highest score, drawn from what is known now.

        This is the bare bandit; calls go through the deploy guard (``PolicySelector``).

        Args:
            context: What is known of the call.
        """
        names = list(self._variants)
        return names[int(self._state.policy.scores(names, context or {}, self._rng).argmax())]

    def update(
        self, variant: str, reward: float, *, event_id: str | None = None, learns: bool = True
    ) -> bool:
        """Add a reward by hand: an administrative event in the feedback store.

        Args:
            variant: The variant's id.
            reward: In [-1, 1].
            event_id: Makes the update idempotent: a second one with this id changes nothing.
            learns: False keeps the event, but the bandit does not count it.

        Returns:
            False when there was an event with this id already.

        Raises:
            ConfigError: There is no such variant.
            InvalidFeedback: The reward is out of range.
            StoreError: The event cannot be stored; nothing has changed.
        """
        self.check_variant(variant)
        if isinstance(reward, bool) or not isfinite(reward) or not -1.0 <= reward <= 1.0:
            raise InvalidFeedback(f"A reward cannot be {reward}.", hint="It lies in [-1, 1].")
        event = FeedbackRow(
            event_id=event_id or f"admin-{uuid4().hex}",
            kind=FeedbackKind.ADMIN,
            variant=variant,
            reward=float(reward),
            learns=learns,
        )
        with self.db.transaction() as conn:
            stored = append_feedback(conn, event)
        self.catch_up()
        return stored

    def check_variant(self, variant: str) -> None:
        """Make sure that a variant is known.

        Raises:
            ConfigError: It is not.
        """
        if variant not in self._variants:
            raise ConfigError(
                f"There is no variant {variant!r}.",
                hint=f"Variants are {', '.join(self._variants)}.",
            )

    def refresh(self, conn: Connection) -> bool:
        """Fold the events that are new in the store; for ``Database.query`` too.

        A snapshot of another database, or from beyond the store's end, is rebuilt, and said.

        Returns:
            Whether anything was new.
        """
        # Taken before anything is read, so that it is not newer.
        variants, before = self._variants, self._state
        state, known = before, store_id(conn)
        if state.store_id != known or state.last_seq > last_feedback_seq(conn):
            if state.last_seq:
                log.warning("bandit_state_of_another_store", last_seq=state.last_seq)
            state = self._new_state(known)
        events = feedback_since(conn, state.last_seq)
        if not events and state is before:
            return False
        changes = state.policy.monitor.changes
        state = fold(state, events)
        if self._state is before or self._state.last_seq < state.last_seq:
            self._state = state  # else another thread or task has come further meanwhile
            if variants is not self._variants:  # what was folded does not know the newest one
                self._tell_policy()
            if state.policy.monitor.changes > changes:
                log.warning("callers_preferences_changed", last_seq=state.last_seq)
        return True

    def catch_up(self) -> BanditState:
        """Fold what other processes have added, and write the snapshot where it is older."""
        with self.db.reading() as conn:
            changed = self.refresh(conn)
        if changed:
            self.save()
        return self._state

    def rebuild(self) -> BanditState:
        """Fold all events anew and write the snapshot; the result is the same as folding on."""
        with self.db.reading() as conn:
            self._state = fold(self._new_state(store_id(conn)), feedback_since(conn, 0))
        self.save()
        return self._state

    def save(self) -> None:
        """Write the snapshot.

        Raises:
            StoreError: It cannot be written.
        """
        write_snapshot(self.state_path, self._state, self.prior)

    def statistics(self) -> dict[str, VariantStatistics]:
        """Return what is known of every variant."""
        best = self.chances(list(self._variants))
        return {name: self._statistics(name, best[name]) for name in self._variants}

    def exploration_rate(self) -> float:
        """Return how often the policy chooses another variant than the best so far."""
        names, policy = list(self._variants), self._state.policy
        leader = max(names, key=lambda name: policy.estimate(name).mean)
        return 1.0 - self.chances(names)[leader]

    def _tell_policy(self) -> None:
        """Tell the policy what the variants set; where it learned otherwise, it learns anew."""
        self._state = replace(self._state, policy=self._state.policy.knowing(self._slots()))
        if self._state.policy.stale:
            self.rebuild()

    def _slots(self) -> Slots:
        return {name: v.treatment.as_dict() for name, v in self._variants.items()}

    def _new_policy(self) -> Policy:
        return self._unlearned.knowing(self._slots())

    def _new_state(self, store: str) -> BanditState:
        return BanditState(store, policy=self._new_policy())

    def _statistics(self, name: str, probability_best: float) -> VariantStatistics:
        arm, estimate = self._state.arm(name), self._state.policy.estimate(name)
        a, b = arm.posterior(self.prior)
        return VariantStatistics(
            pulls=arm.pulls,
            alpha=a,
            beta=b,
            mean_reward=arm.mean_reward,
            success_rate=arm.success_rate(self.prior),
            interval=(estimate.low, estimate.high),
            probability_best=probability_best,
            confident=arm.pulls >= self.rules.min_pulls_for_confidence,
        )


def update_policy_reward(variant: str, reward: float) -> None:
    """Add a reward by hand to the bandit of the settings: an administrative event.

    With ``RL_ENABLED=false`` it is kept, but nothing is learned from it.

    Raises:
        ConfigError: There is no such variant.
        InvalidFeedback: The reward is out of [-1, 1].
        StoreError: The event cannot be stored.
    """
    PolicyBandit().update(variant, reward, learns=defaults.learning_enabled())
