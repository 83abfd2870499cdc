"""The deploy guard: nothing untested reaches more callers than it may.

Its deciders are pure and stand in ``apps/rl/guard``; which variant gets how much is in
``propensity.py``. Here the store is read, acts are stored, and operators have their levers. Every
act and every stage comes with a sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from sqlalchemy import Connection

from apps.core.errors import ConfigError
from apps.rl import defaults
from apps.rl.guard.evidence import Sureness
from apps.rl.guard.explain import reason
from apps.rl.guard.gates import NEXT, Gate, ShadowRecord, gate_of
from apps.rl.guard.health import Health, HealthLevel, health_of
from apps.rl.guard.memory import GuardMemory
from apps.rl.guard.stages import Act, Stage, promotion_data
from apps.rl.guard.standing import GATE_ERROR
from apps.rl.guard.window import full_stages
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.propensity import Allocation, allocate
from apps.rl.variants import GuardRules
from apps.store.decisions import count_stages
from apps.store.deployment import DeploymentRow, append_act, load_acts
from apps.store.feedback import last_feedback_seq
from apps.store.purpose import refuse_sandbox
from apps.store.shadow import shadow_of

__all__ = [
    "DeployGuard",
    "Health",
    "HealthLevel",
    "VariantStatus",
    "select_variant_for_deployment",
]

BY_HAND = "by an operator."


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """Where one variant stands: its stage, its share of the next calls, and why."""

    stage: Stage
    probability: float
    pulls: int
    mean_reward: float | None
    why: str


class DeployGuard(GuardMemory):
    """Gives each call its variant within the limits, stops what does harm, and obeys operators.

    Args:
        bandit: What is known of the variants; that of the settings when None.
        rules: The limits; those of the bandit's policy file when None.
        rng: Source of randomness; seed it for runs that can be repeated.
    """

    def __init__(
        self,
        bandit: PolicyBandit | None = None,
        *,
        rules: GuardRules | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        bandit = bandit or PolicyBandit()
        super().__init__(bandit, rules or bandit.rules)
        self._rng = rng or np.random.default_rng()

    def allocation(
        self,
        context: Mapping[str, object] | None = None,
        *,
        full: Collection[Stage] = (),
        barred: Collection[str] = (),
    ) -> Allocation:
        """Return the probabilities of the next choice, of what is known here.

        Args:
            context: What is known of the call.
            full: Stages without a free seat (``full_stages``).
            barred: Variants that this call cannot get: their adapter is not for it, or not there.
        """
        state = self.state
        probabilities = allocate(
            partial(self.bandit.chances, context=context),
            state.stages,
            self.rules,
            base_only=state.base_only,
            full=full,
            barred=barred,
        )
        reasons = {name: reason(name, state, self.rules) for name in state.stages}
        return Allocation(probabilities, state.stages, reasons)

    def full_stages(self, conn: Connection) -> frozenset[Stage]:
        """Return the stages without a free seat among the latest decisions.

        It holds for the next decision if that is stored in the same write transaction.
        """
        return full_stages(count_stages(conn, self.rules.cap_window - 1), self.rules)

    def draw(self, allocation: Allocation) -> str:
        """Draw a variant from exactly this distribution."""
        return allocation.draw(self.random())

    def random(self) -> float:
        """Return the next random number in [0, 1) of the guard's source."""
        return float(self._rng.random())

    def select_variant(self, context: Mapping[str, object] | None = None) -> str:
        """Choose a variant for a call, as of now; none with an adapter, which takes a server.

        Args:
            context: What is known of the call.
        """
        self.catch_up()
        with self.bandit.db.reading() as conn:
            full = self.full_stages(conn)
        barred = [name for name, v in self.bandit.variants.items() if v.adapter is not None]
        return self.draw(self.allocation(context, full=full, barred=barred))

    def add_variant_to_deployment(self, variant: str, why: str = BY_HAND) -> str:
        """Let a variant take part (again); every variant of the policy file does from the start.

        Args:
            variant: Which one; nothing is done to one that was not taken out.
            why: Kept with the act.

        Returns:
            What was done, in a sentence.

        Raises:
            ConfigError: There is no such variant.
        """
        self.bandit.check_variant(variant)
        self.catch_up()
        if variant not in self.state.holds.removed:
            return f"{variant} was not taken out: it is {self.state.stages[variant].value} already."
        return self._do(Act.ADD, variant, f"it takes part again, {why}")

    def remove_variant_from_deployment(self, variant: str, why: str = BY_HAND) -> str:
        """Take a variant out; it can be added again.

        Raises:
            ConfigError: There is no such variant, or it is the base variant.
        """
        self._refuse_base(variant)
        return self._do(Act.REMOVE, variant, why)

    def gate(self, variant: str) -> Gate:
        """Return the next step of a variant's life, and what it lacks for it.

        Raises:
            ConfigError: There is no such variant, or no step up from where it stands.
        """
        self.bandit.check_variant(variant)
        self.catch_up()
        with self.bandit.db.reading() as conn:
            shadow = ShadowRecord.of(shadow_of(conn, variant))
        return gate_of(variant, self.state, self.bandit.variants, self.rules, shadow)

    def promote(self, variant: str, why: str = BY_HAND, *, force: bool = False) -> str:
        """Take a variant one step up, if its gate is open.

        Args:
            variant: Which one.
            why: Kept with the act.
            force: Take it though it lacks something; what it lacked is kept too.

        Raises:
            ConfigError: The gate is shut (``gate`` tells why), or there is none.
        """
        gate = self.gate(variant)
        if gate.missing and not force:
            raise ConfigError(
                f"{variant} cannot go on to {gate.to.value} yet. {' '.join(gate.missing)}",
                hint="`--force --why ...` takes it there all the same, and is kept.",
            )
        data = promotion_data(gate.to, self.bandit.variants[variant])
        if gate.missing:
            data |= {"forced": True, "missing": list(gate.missing)}
        return self._do(Act.PROMOTE, variant, f"to {gate.to.value}, {why}", data)

    def blacklist(self, variant: str, why: str = BY_HAND) -> str:
        """Give a variant no call any more, until it is reinstated.

        Raises:
            ConfigError: There is no such variant, or it is the base variant.
        """
        self._refuse_base(variant)
        return self._do(Act.BLACKLIST, variant, why)

    def reinstate(self, variant: str, why: str = BY_HAND) -> str:
        """Give a blacklisted or paused variant another chance: what comes from now on counts.

        Raises:
            ConfigError: There is no such variant, or it is neither; what is known of it stays.
        """
        self.bandit.check_variant(variant)
        self.catch_up()
        if variant not in {*self.state.holds.blacklisted, *self.state.holds.paused}:
            raise ConfigError(
                f"{variant} is neither blacklisted nor paused: "
                f"it is {self.state.stages[variant].value}.",
                hint=f"`tom rl explain {variant}` tells where it stands.",
            )
        return self._do(Act.REINSTATE, variant, why)

    def rollback(self, variant: str | None = None, why: str = BY_HAND) -> str:
        """Roll back: one variant, or, without a name, everything, to the base variant.

        Raises:
            ConfigError: There is no such variant, or it is the base variant.
        """
        if variant is not None:
            return self.blacklist(variant, why)
        return self._do(Act.ROLLBACK, None, why)

    def resume(self, why: str = BY_HAND) -> str:
        """End a rollback of everything, clear its alarms, and begin a new regret budget."""
        return self._do(Act.RESUME, None, why)

    def acts(self) -> list[DeploymentRow]:
        """Return the audit: everything that operators and the guard did, in order."""
        self.catch_up()
        with self.bandit.db.reading() as conn:
            return load_acts(conn)

    def status(self) -> dict[str, VariantStatus]:
        """Return where every variant stands, as of now."""
        now = self._now()
        seen = {name: self.state.ledger.of(name) for name in now.stages}
        return {
            name: VariantStatus(
                stage,
                now.probabilities[name],
                seen[name].pulls,
                seen[name].mean,
                now.reasons[name],
            )
            for name, stage in now.stages.items()
        }

    def explain(self, variant: str) -> list[str]:
        """Return in sentences where a variant stands, beside the base, and what comes next.

        Raises:
            ConfigError: There is no such variant.
        """
        self.bandit.check_variant(variant)
        self.catch_up()
        state, rules = self.state, self.rules
        sentences = [reason(variant, state, rules)]
        if state.stages[variant] in (Stage.NEW, Stage.UNCERTAIN, Stage.ESTABLISHED):
            sure = Sureness(rules.family_error, GATE_ERROR, rules.margin)
            sentences.append(state.ledger.contests.verdict(variant, sure).why)
        if state.stages[variant] in NEXT:
            gate = self.gate(variant)
            lacks = " ".join(gate.missing) or "Nothing is missing for that."
            sentences.append(f"Its next stage is {gate.to.value}. {lacks}")
        return sentences

    def health(self) -> Health:
        """Return how the deployment is, as of now."""
        probabilities = self._now().probabilities
        return health_of(self.state, probabilities, self.rules)

    def _refuse_base(self, variant: str) -> None:
        self.bandit.check_variant(variant)
        if variant == self.rules.base_variant:
            raise ConfigError(
                f"{variant} is the base variant, which calls can never be without.",
                hint="Make another variant the base variant in the policy file first.",
            )

    def _do(
        self, act: Act, variant: str | None, why: str, data: Mapping[str, object] | None = None
    ) -> str:
        with self.bandit.db.transaction() as conn:
            at = {"seq": last_feedback_seq(conn)} if act in (Act.REINSTATE, Act.RESUME) else {}
            append_act(conn, DeploymentRow(act.value, variant, why, {**at, **(data or {})}))
        self.catch_up()
        return f"{act.value.capitalize()} {variant or 'everything'}: {why}"

    def _now(self) -> Allocation:
        self.catch_up()
        return self.allocation()


def select_variant_for_deployment(context: Mapping[str, object] | None = None) -> str:
    """Choose a variant for a call with the guard of the settings.

    With ``RL_ENABLED=false`` it is the base variant.

    Args:
        context: What is known of the call, such as its profile.

    Raises:
        StoreError: The store is a sandbox, or cannot be used.
    """
    guard = DeployGuard()
    refuse_sandbox(guard.bandit.db)
    if not defaults.learning_enabled():
        return guard.rules.base_variant
    return guard.select_variant(context)
