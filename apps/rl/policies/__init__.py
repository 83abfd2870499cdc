"""The kinds of policy that choose prompt variants; all are values that learn by ``learned``."""

from __future__ import annotations

from apps.rl.policies.arms import BetaPolicy, NigPolicy
from apps.rl.policies.linear import LinearPolicy, LinearUcbPolicy
from apps.rl.policies.policy import Context, Estimate, OtherSettings, Outcome, Policy, Slots

__all__ = [
    "KINDS",
    "BetaPolicy",
    "Context",
    "Estimate",
    "LinearPolicy",
    "LinearUcbPolicy",
    "NigPolicy",
    "OtherSettings",
    "Outcome",
    "Policy",
    "Slots",
    "new_policy",
]

KINDS = ("nig", "beta", "linear", "linear-ucb")


def new_policy(
    kind: str, *, half_life: float | None = None, alpha: float = 1.0, beta: float = 1.0
) -> Policy:
    """Return a policy that knows nothing yet.

    Args:
        kind: One of ``KINDS``.
        half_life: Rewards after which one counts half; None forgets nothing.
        alpha: First parameter of the Beta kind's prior.
        beta: Its second.

    Raises:
        ValueError: There is no such kind.
    """
    match kind:
        case "nig":
            return NigPolicy(half_life)
        case "beta":
            return BetaPolicy(half_life, alpha=alpha, beta=beta)
        case "linear":
            return LinearPolicy(half_life)
        case "linear-ucb":
            return LinearUcbPolicy(half_life)
        case _:
            raise ValueError(f"no kind of policy: {kind}")
