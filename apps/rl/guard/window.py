"""Hard caps: how many of any so many consecutive decisions a stage's variants get together.

A probability of 10 % bounds the mean; by chance some 200 calls in a row still hold 30 new ones. So
beside the probabilities there are seats: of any ``window`` consecutive decisions at most
``floor(share * window)`` go to new variants, and the same for uncertain ones. A choice is the last
of ``window`` decisions, so it may go to a group whose count among the ``window - 1`` before it is
below its seats; if every choice keeps that, every window does, whatever stages do in between: a
decision counts by the stage that its variant had when it was made.

Choice and count must be one write transaction where several processes decide.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.rl.guard.stages import Stage
from apps.rl.variants import GuardRules

CAPPED = (Stage.NEW, Stage.UNCERTAIN)
"""The stages whose traffic is limited."""


def split_of(stage: Stage, rules: GuardRules) -> float:
    """Return the largest share of the traffic of all variants in a stage together."""
    return {Stage.NEW: rules.split_new, Stage.UNCERTAIN: rules.split_uncertain}.get(stage, 1.0)


def seats_of(stage: Stage, rules: GuardRules) -> int:
    """Return how many of ``rules.cap_window`` consecutive decisions a stage's variants may get."""
    # A share like 0.07 of 100 is 7, though the product is 7.000000000000001 or 6.99...
    return int(split_of(stage, rules) * rules.cap_window + 1e-9)


def full_stages(counts: Mapping[str, int], rules: GuardRules) -> frozenset[Stage]:
    """Return the stages that the next decision may not go to.

    Args:
        counts: How many of the latest ``cap_window - 1`` decisions, fewer where there are not so
            many, went to each stage.
        rules: The guard's.
    """
    return frozenset(
        stage for stage in CAPPED if counts.get(stage.value, 0) >= seats_of(stage, rules)
    )
