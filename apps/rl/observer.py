"""Who watches the learning, and what they are told; the metrics are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.review import CHECKS
from apps.rl.guard.stages import SERVING, Stage


class LearningObserver(Protocol):
    """Is told what happens."""

    def policy_chosen(self, policy_variant: str, propensity: float) -> None:
        """A call was given a variant."""

    def feedback_stored(self, policy_variant: str) -> None:
        """A call's feedback is in the store, abandoned calls' too."""

    def feedback_held(self, reason: str) -> None:
        """An event was stored, but does not count; the reason is one of ``abuse.Reason``."""

    def rewarded(self, policy_variant: str, reward: float, rating: int | None) -> None:
        """A call was rewarded."""

    def rated_late(self, policy_variant: str, rating: int) -> None:
        """A rewarded call got its rating after its end."""

    def success_rate(self, policy_variant: str, rate: float) -> None:
        """A posterior's mean, in [0, 1]."""

    def exploration_rate(self, rate: float) -> None:
        """The share of choices that try another variant than the best so far."""

    def variants(self, *, active: int, blacklisted: int) -> None:
        """How many variants calls may get, and how many they may not."""

    def guard_acted(self, act: str) -> None:
        """The guard did something by itself: one of ``Act``."""

    def stages(self, counts: Mapping[str, int]) -> None:
        """How many variants are in each stage, those that none is in too."""

    def alarms(self, standing: Mapping[str, bool]) -> None:
        """Whether each of the guard's alarms stands."""


def tell_state(observer: LearningObserver, guard: DeployGuard) -> None:
    """Tell how every variant stands, as far as the guard knows."""
    bandit, now = guard.bandit, guard.allocation()
    rates = {name: arm.success_rate(bandit.prior) for name, arm in bandit.arms.items()}
    for name, rate in rates.items():
        observer.success_rate(name, rate)
    leader = max(rates, key=lambda name: rates[name])
    observer.exploration_rate(1.0 - now.probabilities[leader])
    stages = list(now.stages.values())
    blacklisted = stages.count(Stage.BLACKLISTED)
    active = sum(stage in SERVING for stage in stages)
    observer.variants(active=active, blacklisted=blacklisted)
    observer.stages({stage.value: stages.count(stage) for stage in Stage})
    holds = guard.state.holds
    observer.alarms(
        {
            "rollback": holds.base_only is not None,
            "regret_budget": holds.exhausted is not None,
            **{check: check in holds.alarms for check in CHECKS},
        }
    )
