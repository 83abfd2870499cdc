"""Where every variant stands: its stage as a pure function of the acts and of what was seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from apps.rl import beta
from apps.rl.guard.ledger import Ledger, Seen
from apps.rl.guard.stages import Holds, Stage
from apps.rl.variants import GuardRules, Prior

GATE_ERROR = 0.1
"""A variant's own chance of passing for established though it is worse by more than the margin; it
can still be blacklisted then."""


def stages_of(
    variants: Iterable[str],
    candidates: Collection[str],
    ledger: Ledger,
    holds: Holds,
    rules: GuardRules,
    prior: Prior,
) -> dict[str, Stage]:
    """Return every variant's stage.

    Args:
        variants: Their ids.
        candidates: Those of them that begin offline.
        ledger: What was seen.
        holds: What acts have set.
        rules: The guard's.
        prior: Of the Beta posterior that the threshold rule reckons with.
    """
    return {
        name: stage_of(name, name in candidates, ledger, holds, rules, prior) for name in variants
    }


def stage_of(
    variant: str,
    candidate: bool,
    ledger: Ledger,
    holds: Holds,
    rules: GuardRules,
    prior: Prior,
) -> Stage:
    """Return a variant's stage."""
    if variant == rules.base_variant:
        return Stage.BASE
    for held, stage in (
        (holds.removed, Stage.REMOVED),
        (holds.blacklisted, Stage.BLACKLISTED),
        (holds.paused, Stage.PAUSED),
    ):
        if variant in held:
            return stage
    promotion = holds.promoted.get(variant)
    begins = promotion.stage if promotion else Stage.OFFLINE if candidate else Stage.NEW
    if begins in (Stage.OFFLINE, Stage.SHADOW, Stage.ESTABLISHED):
        return begins
    pulls = ledger.of(variant).pulls
    if begins is Stage.NEW and pulls < rules.min_pulls_for_confidence:
        return Stage.NEW
    return Stage.ESTABLISHED if is_good(variant, ledger, rules, prior) else Stage.UNCERTAIN


def is_good(variant: str, ledger: Ledger, rules: GuardRules, prior: Prior) -> bool:
    """Return whether a variant is surely good enough to compete freely."""
    if rules.blacklist_rule != "threshold" and not ledger.contests.surely_not_worse(
        variant, GATE_ERROR, rules.margin
    ):
        return False
    if rules.blacklist_rule == "confidence":
        return True
    seen = ledger.of(variant)
    enough = seen.pulls >= rules.blacklist_min_pulls
    return enough and sureness(seen, rules.blacklist_mean, prior) >= rules.confidence


def is_below_threshold(seen: Seen, rules: GuardRules) -> bool:
    """Return whether seed 004's rule blacklists: the mean is too low after so many pulls."""
    mean = seen.mean
    return (
        mean is not None and seen.pulls >= rules.blacklist_min_pulls and mean < rules.blacklist_mean
    )


@lru_cache(maxsize=4096)
def sureness(seen: Seen, threshold: float, prior: Prior) -> float:
    """Return the probability that the true mean reward is above a threshold.

    By the Beta posterior that takes a reward r for a success of size (r + 1) / 2.
    """
    success = (seen.total + seen.pulls) / 2.0
    failure = max(seen.pulls - success, 0.0)
    return 1.0 - beta.cdf((threshold + 1.0) / 2.0, prior.alpha + success, prior.beta + failure)
