"""The deploy guard: nothing untested reaches more callers than it may.

Which variant gets how much is decided in ``propensity.py``; here operators' acts are stored and
folded, and the whole is explained. Every act and every stage comes with a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from sqlalchemy import Connection

from apps.core.errors import ConfigError
from apps.rl import defaults
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.posterior import Arm
from apps.rl.propensity import Allocation, Holds, Stage, allocate
from apps.rl.variants import GuardRules
from apps.store.deployment import DeploymentRow, append_act, load_acts


class Act(StrEnum):
    """What an operator can do."""

    ADD = "add"
    REMOVE = "remove"
    BLACKLIST = "blacklist"
    REINSTATE = "reinstate"
    ROLLBACK = "rollback"
    RESUME = "resume"


class HealthLevel(StrEnum):
    """How the deployment is."""

    OK = "ok"
    DEGRADED = "degraded"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Health:
    """How the deployment is, and in which respects it is not well."""

    level: HealthLevel
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """Where one variant stands: its stage, its share of the next calls, and why."""

    stage: Stage
    probability: float
    pulls: int
    mean_reward: float | None
    why: str


def fold_acts(acts: Iterable[DeploymentRow]) -> Holds:
    """Return what all acts together have set."""
    base_only: str | None = None
    blacklisted: dict[str, str] = {}
    removed: dict[str, str] = {}
    probation: dict[str, Arm] = {}
    for act in acts:
        variant = act.variant or ""
        match act.action:
            case Act.ADD:
                removed.pop(variant, None)
            case Act.REMOVE:
                removed[variant] = act.why
            case Act.BLACKLIST:
                blacklisted[variant] = act.why
            case Act.REINSTATE:
                blacklisted.pop(variant, None)
                pulls, success = act.data["pulls"], act.data["success"]
                assert isinstance(pulls, int)
                assert isinstance(success, int | float)
                probation[variant] = Arm(pulls, float(success))
            case Act.ROLLBACK:
                base_only = act.why
            case Act.RESUME:
                base_only = None
    return Holds(base_only, blacklisted, removed, probation)


class DeployGuard:
    """Gives each call its variant within the limits, and operators their levers.

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
        self.bandit = bandit or PolicyBandit()
        self.rules = rules or self.bandit.rules
        self._rng = rng or np.random.default_rng()
        self._holds = Holds()
        with self.bandit.db.reading() as conn:
            self.refresh(conn)

    def refresh(self, conn: Connection) -> bool:
        """Read the acts and feedback that are new in the store; for ``Database.query`` too.

        Returns:
            Whether the bandit's state has changed, so that its snapshot is old.
        """
        changed = self.bandit.refresh(conn)
        self._holds = fold_acts(load_acts(conn))
        return changed

    def allocation(self) -> Allocation:
        """Return the probabilities of the next choice, of what is known here."""
        return allocate(self.bandit.arms, self.rules, self.bandit.prior, self._holds)

    def draw(self, allocation: Allocation) -> str:
        """Draw a variant from exactly this distribution."""
        return allocation.draw(float(self._rng.random()))

    def select_variant(self, context: Mapping[str, object] | None = None) -> str:
        """Choose a variant for a call, as of now.

        Args:
            context: What is known of the call. One posterior serves all contexts by now.
        """
        self._catch_up()
        return self.draw(self.allocation())

    def add_variant_to_deployment(self, variant: str) -> str:
        """Let a variant take part (again); every variant of the policy file does from the start.

        Returns:
            What was done, in a sentence.

        Raises:
            ConfigError: There is no such variant.
        """
        self.bandit.check_variant(variant)
        if variant not in self._holds.removed:
            return f"{variant} is in the deployment already."
        return self._do(Act.ADD, variant, f"{variant} takes part again.")

    def remove_variant_from_deployment(self, variant: str, why: str = "by an operator.") -> str:
        """Take a variant out; it can be added again.

        Raises:
            ConfigError: There is no such variant, or it is the base variant.
        """
        self._refuse_base(variant)
        return self._do(Act.REMOVE, variant, why)

    def blacklist(self, variant: str, why: str = "by an operator.") -> str:
        """Give a variant no call any more, until it is reinstated.

        Raises:
            ConfigError: There is no such variant, or it is the base variant.
        """
        self._refuse_base(variant)
        return self._do(Act.BLACKLIST, variant, why)

    def reinstate(self, variant: str, why: str = "by an operator.") -> str:
        """Give a blacklisted variant another chance: it is judged by what comes from now on.

        Raises:
            ConfigError: There is no such variant.
        """
        self.bandit.check_variant(variant)
        self._catch_up()
        arm = self.bandit.state.arm(variant)
        data = {"pulls": arm.pulls, "success": arm.success}
        return self._do(Act.REINSTATE, variant, why, data)

    def rollback(self, variant: str | None = None, why: str = "by an operator.") -> str:
        """Roll back: one variant, or, without a name, everything, to the base variant.

        Raises:
            ConfigError: There is no such variant, or it is the base variant.
        """
        if variant is not None:
            return self.blacklist(variant, why)
        return self._do(Act.ROLLBACK, None, why)

    def resume(self, why: str = "by an operator.") -> str:
        """End a rollback of everything."""
        return self._do(Act.RESUME, None, why)

    def status(self) -> dict[str, VariantStatus]:
        """Return where every variant stands, as of now."""
        self._catch_up()
        now = self.allocation()
        return {
            name: VariantStatus(
                now.stages[name],
                now.probabilities[name],
                arm.pulls,
                arm.mean_reward,
                now.reasons[name],
            )
            for name, arm in self.bandit.arms.items()
        }

    def health(self) -> Health:
        """Return how the deployment is, as of now."""
        self._catch_up()
        now = self.allocation()
        findings = []
        level = HealthLevel.OK
        blacklisted = [name for name, stage in now.stages.items() if stage is Stage.BLACKLISTED]
        if blacklisted:
            findings.append(f"Blacklisted: {', '.join(blacklisted)}.")
        if now.probabilities[self.rules.base_variant] == 1.0 and len(now.probabilities) > 1:
            level = HealthLevel.DEGRADED
            findings.append("Every call gets the base variant: nothing new is tried.")
        if self._holds.base_only is not None:
            findings.append(now.reasons[self.rules.base_variant])
        base = self.bandit.state.arm(self.rules.base_variant)
        mean = base.mean_reward
        tried = base.pulls >= self.rules.blacklist_min_pulls
        if tried and mean is not None and mean < self.rules.blacklist_mean:
            level = HealthLevel.CRITICAL
            findings.append(
                f"The base variant {self.rules.base_variant} itself is below the blacklist's "
                f"threshold ({mean:+.2f}); it goes on serving, since something must. Make an "
                "established variant the base variant in the policy file."
            )
        return Health(level, tuple(findings) or ("All variants are within their limits.",))

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
            append_act(conn, DeploymentRow(act.value, variant, why, data or {}))
        self._catch_up()
        return f"{act.value.capitalize()} {variant or 'everything'}: {why}"

    def _catch_up(self) -> None:
        with self.bandit.db.reading() as conn:
            changed = self.refresh(conn)
        if changed:
            self.bandit.save()


def select_variant_for_deployment(context: Mapping[str, object] | None = None) -> str:
    """Choose a variant for a call with the guard of the settings.

    With ``RL_ENABLED=false`` it is the base variant.

    Args:
        context: What is known of the call, such as its profile.
    """
    guard = DeployGuard()
    if not defaults.learning_enabled():
        return guard.rules.base_variant
    return guard.select_variant(context)
